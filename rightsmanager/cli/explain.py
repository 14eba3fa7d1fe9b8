"""`rightsmanager explain`: tells which licences a request would get, without a challenge."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from rightsmanager.assembly import license_defaults
from rightsmanager.cli.options import KidParameter, data_option, json_option, key_files, settings_of
from rightsmanager.cli.printing import print_tree
from rightsmanager.cli.show import MAX_BYTES, as_tree
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import as_json
from rightsmanager.inspection.explain import Defaults, Explanation, explain, find_question
from rightsmanager.inspection.explain.forms import header_of
from rightsmanager.keyring.identities import METERING
from rightsmanager.policy.query import Spelling
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.messages.metering import read_metering_certificate
from rightsmanager.protocol.wire import Kid

REFUSED: Final = 1
_MARKS: Final = frozenset("=(?[&:/")
"""One of them is in every URL and query, so that a mistyped file's name is none."""


@click.command(name="explain")
@data_option
@click.option(
    "--header",
    "header_file",
    type=click.File("rb"),
    help="A WRMHEADER, PlayReady Object, PSSH box or challenge: whose KIDs are meant.",
)
@click.option("--kid", "kids", multiple=True, type=KidParameter(), help="GUID or base64.")
@click.option("--custom-data", help="CustomData of the challenge.")
@click.option(
    "--security-level", type=click.IntRange(0, 0xFFFF), help="That of the device that is assumed."
)
@click.option(
    "--to",
    "spelling",
    type=click.Choice([spelling.value for spelling in Spelling]),
    help="Only translate it into this spelling.",
)
@json_option
@click.argument("asked", metavar="URL|QUERY|FILE")
@click.pass_context
def explain_(  # noqa: PLR0913 -- one parameter for each option
    ctx: click.Context,
    *,
    data: Path,
    header_file: BinaryIO | None,
    kids: tuple[Kid, ...],
    custom_data: str | None,
    security_level: int | None,
    spelling: str | None,
    as_json: bool,
    asked: str,
) -> None:
    """Tell which licences a request would get, what is wrong with it, and what clients refuse.

    It is a URL, a query, or a file (- for standard input) with one of these, with CustomData, or
    with a header or challenge. No challenge is needed: without one, content with the KIDs that are
    asked for is assumed. The exit status is 0 if licences are given, 1 if the request is refused.
    """
    found = find_question(_read(asked))
    question = replace(
        found,
        custom_data=found.custom_data if custom_data is None else custom_data,
        header=_header(kids, header_file) or found.header,
        device_level=security_level,
    )
    explanation = explain(question, _defaults(data), int(time.time()))
    if spelling is not None:
        _translate(ctx, explanation, Spelling(spelling))
    elif as_json:
        click.echo(json.dumps(_facts(explanation), indent=2))
    else:
        _print(explanation)
    ctx.exit(REFUSED if explanation.refused else 0)


def _defaults(data: Path) -> Defaults:
    settings, chain = settings_of(data), key_files(data).find_chain(METERING.name)
    given = license_defaults(settings)
    defaults = Defaults(given.policy, domain=given.domain, rules=given.rules)
    if chain is None:
        return defaults
    return replace(defaults, own_mid=read_metering_certificate(chain).mid)


def _read(asked: str) -> bytes:
    if asked == "-":
        return _limited(sys.stdin.buffer)
    if _is_file(asked):
        with Path(asked).open("rb") as file:
            return _limited(file)
    if not _MARKS.intersection(asked):
        raise click.UsageError(f"{asked!r} is no file, and no URL or query either")
    return asked.encode(errors="replace")


def _is_file(asked: str) -> bool:
    try:
        return Path(asked).is_file()
    except OSError:
        # Queries may be longer than names of files.
        return False


def _limited(file: BinaryIO) -> bytes:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidMessage(f"it has more than {MAX_BYTES} bytes")
    return data


def _header(kids: tuple[Kid, ...], file: BinaryIO | None) -> Header | None:
    if kids and file is not None:
        raise click.UsageError("give one of --kid and --header")
    if file is None:
        return header_of(kids) if kids else None
    header = find_question(_limited(file)).header
    if header is None:
        raise click.UsageError("--header: no WRMHEADER is in it")
    return header


# --- printing -------------------------------------------------------------------------------------


def _translate(ctx: click.Context, explanation: Explanation, spelling: Spelling) -> None:
    found = next((each for each in explanation.translations if each.spelling is spelling), None)
    if found is None:
        lines = explanation.problems or ("it asks nothing",)
        click.echo("\n".join(f"refused: {line}" for line in lines), err=True)
    elif not found.is_possible:
        click.echo(f"refused: {found.text}", err=True)
    else:
        click.echo(found.text)
        ctx.exit(0)
    ctx.exit(REFUSED)


def _facts(explanation: Explanation) -> dict[str, Any]:
    return {
        "refused": list(explanation.problems),
        "fault": explanation.fault,
        "warnings": list(explanation.warnings),
        "licenses": [as_json(license_) for license_ in explanation.licenses],
        "spellings": {
            each.spelling.value: each.text if each.is_possible else None
            for each in explanation.translations
        },
    }


def _print(explanation: Explanation) -> None:
    for problem in explanation.problems:
        click.echo(f"refused: {problem}")
    if explanation.fault is not None:
        click.echo(f"fault: {explanation.fault}")
    for warning in explanation.warnings:
        click.echo(f"warning: {warning}")
    for license_ in explanation.licenses:
        print_tree(as_tree(license_))
    if explanation.refused or explanation.fault:
        return
    if not explanation.licenses:
        click.echo("no licence")
    elif not explanation.translations:
        click.echo("The request names no parameter: this is the server's default policy.")
