"""`rightsmanager packager`: a simulated packager that asks for keys by AcquirePackagingData."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.printing import Form, form_options, print_list
from rightsmanager.device.http import HttpClient, post_trusting
from rightsmanager.device.packaging import acquire_packaging_data, playready_object
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.protocol.formats.pssh import Pssh, build_object, build_pssh
from rightsmanager.protocol.messages.packaging import StreamInformation
from rightsmanager.protocol.wire import encode_base64

if TYPE_CHECKING:
    from rightsmanager.protocol.messages.packaging import StreamProtection

_COLUMNS: Final = {
    "program": "program",
    "offset": "offset",
    "kid": "KID",
    "content_key": "content key",
}


@click.command()
@click.option("--url", required=True, help="The server's URL.")
@click.option(
    "--offset", default="P0S", show_default=True, help="The start in the program, such as PT10M."
)
@click.option("--interval", help="The length of the part, such as PT1H.  [default: to the end]")
@click.option("--token", help="The server's packaging.token; - reads it from standard input.")
@click.option(
    "--cafile",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="PEM certificates that an https server is trusted by.",
)
@form_options
@click.argument("programs", metavar="PROGRAM...", nargs=-1, required=True)
def packager(  # noqa: PLR0913 -- one parameter for each option
    *,
    url: str,
    offset: str,
    interval: str | None,
    token: str | None,
    cafile: Path | None,
    form: Form,
    programs: tuple[str, ...],
) -> None:
    """Ask a server for keys, as a packager does.

    Prints the content keys of the PROGRAMs in the clear.

    Example: rightsmanager packager --url http://127.0.0.1:8080/rightsmanager.asmx news
    """
    part = (
        parse_duration(offset, "--offset"),
        None if interval is None else parse_duration(interval, "--interval"),
    )
    if token == "-":  # noqa: S105 -- not a token
        token = sys.stdin.readline().strip()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    reach = HttpClient(headers=headers) if cafile is None else post_trusting(cafile, headers)
    streams = [StreamInformation(program, *part) for program in programs]
    facts = [_facts(each) for each in acquire_packaging_data(url, streams, reach)]
    print_list(form, facts, _COLUMNS)


def _facts(protection: "StreamProtection") -> dict[str, object]:
    playready, interval = playready_object(protection), protection.interval
    return {
        "program": protection.program,
        "offset": protection.offset.text,
        "interval": None if interval is None else interval.text,
        "kid": protection.kid.text,
        "content_key": protection.key.hex(),
        "object": encode_base64(build_object(playready)),
        "pssh": encode_base64(build_pssh(Pssh(playready))),
    }
