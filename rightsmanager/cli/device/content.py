"""Which content is meant: options that say it by KID, header, PlayReady Object or PSSH box."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from rightsmanager.cli.options import KidParameter, VersionParameter
from rightsmanager.protocol.formats.pssh import parse_object, parse_pssh
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version, parse_header
from rightsmanager.protocol.wire import Kid, decode_base64

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Content:
    """What the options say."""

    header_file: Path | None
    pssh: str | None
    header_version: Version | None
    algid: str

    def header(self, kids: tuple[Kid, ...]) -> Header:
        """Return the header of the content; the KIDs are another way to say which it is."""
        if sum(map(bool, (kids, self.header_file, self.pssh))) != 1:
            raise click.UsageError("give one of --kid, --header and --pssh")
        if self.header_file is not None:
            return parse_header(self.header_file.read_bytes())
        if self.pssh is not None:
            return _header_in(decode_base64(self.pssh, "--pssh"))
        return self._header_of(kids)

    def header_for(self, kid: Kid) -> Header:
        """Return the header of the content of a KID: what the options say, else the KID's own."""
        return self.header(() if self.header_file or self.pssh else (kid,))

    def _header_of(self, kids: tuple[Kid, ...]) -> Header:
        entries = tuple(HeaderKid(kid, Algid(self.algid)) for kid in kids)
        if self.header_version is not None:
            return Header(self.header_version, entries)
        one = Version.V4_0 if len(kids) == 1 else Version.V4_2
        return Header(one if self.algid == Algid.AESCTR else Version.V4_3, entries)


def content_options(command: Command) -> Command:
    """Add the options that are the fields of Content."""
    options = (
        click.option(
            "--header", "header_file", type=click.Path(path_type=Path, dir_okay=False, exists=True)
        ),
        click.option("--pssh", help="A PSSH box or PlayReady Object, base64."),
        click.option("--header-version", type=VersionParameter()),
        click.option("--algid", type=click.Choice(["AESCTR", "AESCBC"]), default="AESCTR"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def kid_option(command: Command) -> Command:
    """Add `--kid`, again for more."""
    return click.option(
        "--kid", "kids", multiple=True, type=KidParameter(), help="GUID or base64."
    )(command)


def _header_in(data: bytes) -> Header:
    return (parse_pssh(data).object if data[4:8] == b"pssh" else parse_object(data)).header
