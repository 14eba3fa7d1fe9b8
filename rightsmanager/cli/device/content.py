"""Options that name content by KID, header, PlayReady Object or PSSH box."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.options import INPUT, KID, add_options
from rightsmanager.cli.versions import VersionParameter
from rightsmanager.device.acquire import header_of_kids
from rightsmanager.protocol.formats.input_forms import find_headers
from rightsmanager.protocol.formats.wrmheader import Algid, Header, Version

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import Kid


@dataclass(frozen=True, slots=True)
class Content:
    """The content that the options name."""

    header_file: bytes | None
    pssh: str | None
    header_version: Version | None
    algid: str

    def header(self, kids: "tuple[Kid, ...]") -> Header:
        """Return the header of the content, or of the KIDs; one way must name it."""
        if sum(map(bool, (kids, self.header_file, self.pssh))) != 1:
            raise click.UsageError("give one of --kid, --header and --pssh")
        if self.header_file:
            return _first_header(self.header_file)
        if self.pssh:
            return _first_header(self.pssh.encode(errors="replace"))
        return header_of_kids(kids, Algid(self.algid), self.header_version)

    def header_for(self, kid: "Kid") -> Header:
        """Return the header that the options name, else one of the KID."""
        return self.header(() if self.header_file or self.pssh else (kid,))


content_options: Final = add_options(
    click.option(
        "--header",
        "header_file",
        metavar="FILE",
        type=INPUT,
        help="A file with the header: WRMHEADER, PSSH, MP4, manifest, playlist and others.",
    ),
    click.option(
        "--pssh", help="A PSSH box, PlayReady Object or WRMHEADER, in base64 or the like."
    ),
    click.option(
        "--header-version",
        type=VersionParameter(),
        help="The version of the header of --kid.  [default: the oldest that can say it]",
    ),
    click.option(
        "--algid",
        type=click.Choice(["AESCTR", "AESCBC"]),
        default="AESCTR",
        show_default=True,
        help="The encryption of the content of --kid.",
    ),
)
kid_option: Final = click.option(
    "--kid", "kids", multiple=True, type=KID, help="A KID, GUID or base64; repeat it for more."
)


def _first_header(data: bytes) -> Header:
    """Return the first header, and report other KIDs: a client makes a challenge per header."""
    first, *others = find_headers(data)
    used = {key.kid for key in first.kids}
    kids = dict.fromkeys(key.kid for header in others for key in header.kids)
    left = [kid.text for kid in kids if kid not in used]
    if left:
        click.echo(f"only the first header is used; others have KID {', '.join(left)}", err=True)
    return first
