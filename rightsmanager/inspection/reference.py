"""The documentation of all parameters, made from their table: rows, and Markdown."""

import sys
from dataclasses import dataclass
from typing import Final

from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.parameters import PARAMETERS

_ROOT: Final = "3c6f3c13-6207-4916-867c-8252b3993638"

EXAMPLES: Final = {
    "kid": "(kid:6f651ae1-dbe4-4434-bcb4-690d1564c41c)",
    "contentkey": "(contentkey:EjQSNBI0EjQSNBI0EjQSNw==)",
    "keyseed": "(keyseed:XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46I)",
    "ckt": "(ckt:aescbc)",
    "sl": "(sl:2000)",
    "persist": "(persist:true)",
    "simple": "(simple:true)",
    "playright": "(playright:true)",
    "readright": "(readright:true)",
    "executeright": "(executeright:true)",
    "copyright": "(copyright:true)",
    "extendedright": "(extendedright:(type:500,extended:((type:600,data:AQ==))))",
    "begindate": "(begindate:20300101)",
    "expiration": "(expiration:20300131235959)",
    "firstplayexpiration": "(firstplayexpiration:3600)",
    "realtime": "(realtime:true,expiration:20300131)",
    "removaldate": "(removaldate:20300131,persist:true)",
    "graceperiod": "(graceperiod:86400,expiration:20300131)",
    "isroot": f"(isroot:true,kid:{_ROOT})",
    "rootid": f"(rootid:{_ROOT},kid:header),(isroot:true,kid:{_ROOT})",
    "accountid": "(accountid:0c4b9a4e-7f3d-4c55-9a39-4c1f6d1f8a01)",
    "usedomains": "(usedomains:true)",
    "tid": "(tid:5b1d6f0e-2c7a-4d0f-8f35-1a2b3c4d5e6f,persist:true)",
    "mid": "(mid:b6ab4f67-0c5e-4d6b-8a0b-6e5d3c9f1a42)",
    "securestop": "(securestop:true)",
    "sourceid": "(sourceid:262)",
    "restrictedsourceids": "(restrictedsourceids:(2,3))",
    "embedding": "(embedding:0)",
    "revinfo": "(revinfo:7)",
    "policymetadata": "(policymetadata:(guid:9f1c2d3e-4a5b-4c6d-8e7f-0a1b2c3d4e5f,data:AQI=))",
    "caopl": "(caopl:150)",
    "ucaopl": "(ucaopl:200)",
    "cvopl": "(cvopl:500)",
    "ucvopl": "(ucvopl:270)",
    "avopl": "(avopl:150)",
    "dvop": "(dvop:(guid:ABB2C6F1-E663-4625-A945-972D17B231E7,data:AAAAAQ==))",
    "daop": "(daop:(guid:6D5CFA59-C250-4426-930E-FAC72C8FCFA6,data:AQ==))",
    "avop": "(avop:(guid:C3FD11C6-F8B7-4D20-B008-1DB17D61F2DA,data:AgAAAA==))",
    "explicitacp": "(explicitacp:2)",
    "maxres": "(maxres:1920x1080)",
    "playenablers": "(playenablers:(786627D8-C2A6-44BE-8F88-08AE255B01A7))",
    "allowunknownsd": "(allowunknownsd:true)",
    "allowunknownhd": "(allowunknownhd:true)",
    "extendedrestrictions": "(extendedrestrictions:((type:600,mustunderstand:false,data:AQ==)))",
    "errorcode": "(errorcode:0x8004c065)",
    "revoked": "(revoked:true)",
    "msg": "(msg:clientinfo)",
    "clientinfo": "(clientinfo)",
}
"""An example of `cfg` for each parameter."""


@dataclass(frozen=True, slots=True)
class Row:
    """The documentation of a parameter."""

    name: str
    aliases: tuple[str, ...]
    legacy: str | None
    meaning: str
    expected: str
    legacy_expected: str | None
    """None if the legacy spelling writes values like the others."""
    default: str
    repeats: bool
    example: str
    """A query."""


def parameter_rows() -> tuple[Row, ...]:
    """Return a row for each parameter, in the order of the table."""
    return tuple(map(_row, PARAMETERS))


def _row(parameter: Parameter) -> Row:
    legacy = parameter.value_type.legacy
    return Row(
        name=parameter.name,
        aliases=parameter.aliases,
        legacy=parameter.legacy,
        meaning=parameter.meaning,
        expected=parameter.value_type.expected,
        legacy_expected=legacy.expected if parameter.legacy and legacy else None,
        default=parameter.default,
        repeats=parameter.repeats,
        example=f"cfg={EXAMPLES[parameter.name]}",
    )


# --- Markdown -------------------------------------------------------------------------------------

_HEAD: Final = """\
# Parameters

Everything that a request may ask of a licence. This page is made from the server's own table of
parameters by `make docs`. [Explain](explain.md) tells what a given request would get.

A request is written in one of four spellings, and what it does not name is as the server's
[policy settings](configuration.md#policy) say.

| spelling | where | form |
| --- | --- | --- |
| cfg | URL | `?cfg=(name:value,…)`, and `,(…)` for each further licence |
| cfg64 | URL | `?cfg64=` and base64 of a JSON array of objects, each one licence |
| json | CustomData of the challenge | that array or one object, with or without `json=` before it |
| legacy | URL | `?Name=value&Name=value`, one licence, persistent if it is not simple |

Names are the same in the first three, in any letter case; the legacy spelling has its own.
CustomData is ignored if the URL has parameters. Invalid values and combinations that PlayReady
forbids are refused with 0x8004c604 by name, value and expectation.

Unknown names in `cfg`, `cfg64` and JSON are refused. In the URL's query, `wsdl`, `singlewsdl`,
`op`, `disco` and `CMCD` are not read. Other unknown names, such as tokens and session ids, may be
alone or next to parameters: they reach your [hooks](hooks.md), have no effect on licences, and
cause a warning in the log, in [explain](explain.md) and in the reply's header
`X-RightsManager-Warning`. Names close to a parameter's are refused, and
`license.unknown_parameters = "refuse"` refuses all.

Dates may also be relative to the time of the request: seconds, such as `+120`, or a duration, such
as `P1D`. A KID that the header of the request does not have gets no licence; the request is refused
if no KID is left. A licence above the device's security level is dropped in the same way, unless
`license.above_level` says otherwise.
"""
_TABLE: Final = """\

## Table

| name | also | legacy name | default |
| --- | --- | --- | --- |
"""


def parameters_markdown() -> str:
    """Return `docs/parameters.md`."""
    rows = parameter_rows()
    table = "".join(map(_table_line, rows))
    return f"{_HEAD}{_TABLE}{table}\n## One by one\n{''.join(map(_section, rows))}"


def _table_line(row: Row) -> str:
    cells = (f"[{row.name}](#{row.name})", ", ".join(row.aliases), row.legacy or "", row.default)
    return f"| {' | '.join(cell or 'none' for cell in cells)} |\n"


def _section(row: Row) -> str:
    facts = [("value", row.expected)]
    if row.legacy is not None:
        facts.append(("legacy", _legacy(row)))
    facts += [("default", row.default), ("example", f"`{row.example}`")]
    lines = "".join(f"* {name}: {text}\n" for name, text in facts)
    more = " It may be given more than once." if row.repeats else ""
    return f"\n### {row.name}\n\n{row.meaning}{more}\n\n{lines}"


def _legacy(row: Row) -> str:
    expected = "" if row.legacy_expected is None else f", {row.legacy_expected}"
    return f"`{row.legacy}`{expected}"


if __name__ == "__main__":
    sys.stdout.write(parameters_markdown())
