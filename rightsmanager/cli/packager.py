"""`rightsmanager packager`: a simulated packager that asks for keys by AcquirePackagingData."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.options import json_option
from rightsmanager.cli.printing import print_table, printable
from rightsmanager.device.http import Post, post, post_trusting
from rightsmanager.device.packaging import acquire_packaging_data, playready_object
from rightsmanager.protocol.formats.durations import Duration, parse_duration
from rightsmanager.protocol.formats.pssh import Pssh, build_object, build_pssh
from rightsmanager.protocol.messages.packaging import StreamInformation, StreamProtection
from rightsmanager.protocol.wire import encode_base64


@click.command()
@click.option("--url", required=True, help="The server's URL.")
@click.option(
    "--offset", default="P0S", show_default=True, help="From the program's start, such as PT10M."
)
@click.option("--interval", help="How much of the program is wanted, such as PT1H.")
@click.option("--token", help="What packaging.token of the server is; - reads it.")
@click.option(
    "--cafile",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificates in PEM by which a server at https may prove itself.",
)
@json_option
@click.argument("programs", metavar="PROGRAM...", nargs=-1, required=True)
def packager(  # noqa: PLR0913 -- one parameter for each option
    *,
    url: str,
    offset: str,
    interval: str | None,
    token: str | None,
    cafile: Path | None,
    as_json: bool,
    programs: tuple[str, ...],
) -> None:
    """Ask for the content keys of PROGRAMs and print them, in the clear."""
    part = (
        parse_duration(offset, "--offset"),
        None if interval is None else parse_duration(interval, "--interval"),
    )
    if token == "-":  # noqa: S105 -- where it is to be read from
        token = sys.stdin.readline().strip()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    reach: Post = (
        partial(post, more_headers=headers) if cafile is None else post_trusting(cafile, headers)
    )
    streams = [StreamInformation(program, *part) for program in programs]
    facts = [_facts(each) for each in acquire_packaging_data(url, streams, reach)]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    rows = [
        [printable(fact["program"]), fact["offset"], fact["kid"], fact["content_key"]]
        for fact in facts
    ]
    print_table(("program", "offset", "KID", "content key"), rows)


def _facts(protection: StreamProtection) -> dict[str, Any]:
    playready = playready_object(protection)
    return {
        "program": protection.program,
        "offset": protection.offset.text,
        "interval": _text(protection.interval),
        "kid": protection.kid.text,
        "content_key": protection.key.hex(),
        "object": encode_base64(build_object(playready)),
        "pssh": encode_base64(build_pssh(Pssh(playready))),
    }


def _text(duration: Duration | None) -> str | None:
    return None if duration is None else duration.text
