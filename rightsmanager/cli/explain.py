"""`rightsmanager explain`: the licences that a request would get, without a challenge."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.assembly import license_defaults
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import INPUT, KID, read_input
from rightsmanager.cli.printing import Form, json_option, print_json, print_tree
from rightsmanager.cli.show import as_tree
from rightsmanager.errors import InternalError
from rightsmanager.files import is_file
from rightsmanager.inspection import as_json
from rightsmanager.inspection.explanation import Defaults, Explanation, explain
from rightsmanager.inspection.questions import find_question, header_of
from rightsmanager.keyring.identities import METERING
from rightsmanager.operations.tracks import look_up_policies
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.query import Spelling
from rightsmanager.protocol.messages.metering import read_metering_certificate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rightsmanager.policy.grants import Policy
    from rightsmanager.protocol.formats.wrmheader import Header
    from rightsmanager.protocol.wire import Kid

REFUSED: Final = 1
# Every URL and query has one of these, so that a mistyped file name is not taken for a query.
_MARKS: Final = frozenset("=(?[&:/")


@click.command(name="explain")
@pass_operator
@click.option(
    "--header",
    "header_file",
    metavar="FILE",
    type=INPUT,
    help="A file with the KIDs, such as a header, PSSH box, manifest or challenge.",
)
@click.option("--kid", "kids", multiple=True, type=KID, help="A KID of the content.")
@click.option("--custom-data", help="The CustomData of the challenge.")
@click.option(
    "--security-level", type=click.IntRange(0, 0xFFFF), help="The level of the assumed device."
)
@click.option(
    "--to",
    "spelling",
    type=click.Choice([spelling.value for spelling in Spelling]),
    help="Only translate the request into this spelling.",
)
@json_option
@click.argument("request", metavar="URL|QUERY|FILE")
@click.pass_context
def explain_(  # noqa: PLR0913 -- one parameter for each option
    ctx: click.Context,
    operator: Operator,
    *,
    header_file: bytes | None,
    kids: "tuple[Kid, ...]",
    custom_data: str | None,
    security_level: int | None,
    spelling: str | None,
    form: Form,
    request: str,
) -> None:
    """Explain which licences a request would get.

    Prints the problems of the request, warnings about clients, the source of each parameter, the
    licences, and the request in each spelling, with masked keys. The request is a URL, a query, or
    a file (- for standard input) with one of these, with CustomData, a header or a challenge.
    Without a header, content with the requested KIDs is assumed. Exit status 0: licences are
    granted, 1: the request is refused.

    Example: rightsmanager explain 'cfg=(sl:2000,persist:true)'
    """
    operator.refuse_missing_given_data()
    found = find_question(_read(request))
    question = replace(
        found,
        custom_data=found.custom_data if custom_data is None else custom_data,
        header=_header(kids, header_file) or found.header,
        device_level=security_level,
    )
    explanation = explain(question, find_defaults(operator), now())
    if spelling is not None:
        _translate(ctx, explanation, Spelling(spelling))
    elif form == "json":
        print_json(explanation_facts(explanation))
    else:
        print_tree(as_tree(explanation.description))
    ctx.exit(REFUSED if explanation.refused else 0)


def find_defaults(operator: Operator) -> Defaults:
    """Return the policy and rules of the settings, for explanations."""
    settings, chain = operator.settings, operator.files.find_chain(METERING.name)
    given = license_defaults(settings)
    defaults = Defaults(given.policy, domain=given.domain, rules=given.rules)
    if operator.has_store:
        # A KID is looked up when a question names one: the store costs 0.2 s.
        defaults = replace(defaults, find_policies=partial(_find_policies, operator, given))
    if chain is None:
        return defaults
    return replace(defaults, own_mid=read_metering_certificate(chain).mid)


def _find_policies(
    operator: Operator, given: LicenseDefaults, kids: "Sequence[Kid]"
) -> "Mapping[Kid, Policy]":
    try:
        return look_up_policies(operator.store, given, kids)
    except InternalError as error:
        click.echo(f"the tracks of keys are not known: {error.text}", err=True)
        return {}


def _read(request: str) -> bytes:
    if request == "-" or is_file(Path(request)):
        return read_input(request)
    if not _MARKS.intersection(request):
        raise click.UsageError(f"{request!r} is neither a file nor a URL or query")
    return request.encode(errors="replace")


def _header(kids: "tuple[Kid, ...]", header_file: bytes | None) -> "Header | None":
    if kids and header_file is not None:
        raise click.UsageError("give one of --kid and --header")
    if header_file is None:
        return header_of(kids) if kids else None
    header = find_question(header_file).header
    if header is None:
        raise click.UsageError("--header: the file has no WRMHEADER")
    return header


def _translate(ctx: click.Context, explanation: Explanation, spelling: Spelling) -> None:
    found = next((each for each in explanation.translations if each.spelling is spelling), None)
    if found is None:
        lines = explanation.problems or ("it names no parameter",)
        click.echo("\n".join(f"refused: {line}" for line in lines), err=True)
    elif not found.is_possible:
        click.echo(f"refused: {found.text}", err=True)
    else:
        click.echo(found.text)
        ctx.exit(0)
    ctx.exit(REFUSED)


def explanation_facts(explanation: Explanation) -> dict[str, object]:
    """Return an explanation for JSON."""
    return {
        "refused": list(explanation.problems),
        "fault": explanation.fault,
        "warnings": list(explanation.warnings),
        "licenses": [as_json(license_) for license_ in explanation.licenses],
        "parameters": [as_json(each) for each in explanation.parameters],
        "spellings": {
            each.spelling.value: each.masked if each.is_possible else None
            for each in explanation.translations
        },
    }
