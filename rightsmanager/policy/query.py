"""Requests for licences in four spellings, parsed and written.

    cfg=(name:value,…)[,(…)]    in the URL, see `brackets`
    cfg64=base64                in the URL, base64 of the array of `json_text`
    Name=value&Name=value       in the URL, see `legacy` and `names`
    json=[{…},…]                in the challenge's CustomData, see `json_text`

CustomData is ignored if the URL has parameters. The server's defaults apply to each parameter that
is not given. CustomData may also be the JSON alone, without `json=`.
"""

from base64 import b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.brackets import build_groups, parse_groups
from rightsmanager.policy.json_text import build_array, parse_array
from rightsmanager.policy.legacy import read_legacy, write_legacy
from rightsmanager.policy.names import SHARED_NAMES, QueryNames, sort_names, unknown_parameter
from rightsmanager.policy.parameters import BY_NAME
from rightsmanager.policy.parsed_values import Group, decode_percent, quote_name
from rightsmanager.policy.requested_licenses import RequestedLicense, read_license, write_license
from rightsmanager.policy.rules import DecisionWarning, UnknownParameters, WarningCode
from rightsmanager.policy.value_types import InvalidValue, decode_lenient, require_text


class Spelling(StrEnum):
    """The four ways to write a request."""

    CFG = "cfg"
    CFG64 = "cfg64"
    JSON = "json"
    LEGACY = "legacy"


JSON_PREFIX: Final = "json="
"""The start of CustomData that requests licences, in any letter case."""


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """Names and values of a request before they are checked."""

    spelling: Spelling
    groups: tuple[Group, ...] = ()
    warnings: tuple[DecisionWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """The licences that a request names, one for each group; none without parameters."""

    licenses: tuple[RequestedLicense, ...] = ()
    warnings: tuple[DecisionWarning, ...] = ()


NO_REQUEST: Final = ParsedRequest()


def parse_request(
    query: str,
    custom_data: str | None,
    unknown_parameters: UnknownParameters = UnknownParameters.WARN,
) -> ParsedRequest:
    """Return the licences that a request names, in the URL or else in CustomData.

    `query` is percent-encoded and has no question mark. Raises ServiceSpecific.
    """
    # Most requests of players have neither.
    if not query and not custom_data:
        return NO_REQUEST
    split = split_query(query, unknown_parameters)
    warnings = split.warnings
    if not split.groups and custom_data:
        split = split_custom_data(custom_data)
        warnings += split.warnings
    return ParsedRequest(
        tuple(read_group(split.spelling, group) for group in split.groups), warnings
    )


def parse_query(query: str) -> tuple[RequestedLicense, ...]:
    """Return the licences that a query names; raises ServiceSpecific."""
    return parse_request(query, None).licenses


def parse_custom_data(text: str) -> tuple[RequestedLicense, ...]:
    """Return the licences that CustomData names, none if it is anything else."""
    return parse_request("", text).licenses


def split_query(
    query: str, unknown_parameters: UnknownParameters = UnknownParameters.WARN
) -> SplitRequest:
    """Return the unchecked names and values of a query.

    Raises ServiceSpecific for malformed text, and for unknown names by the rule.
    """
    names = sort_names(query)
    if names.unknown and unknown_parameters is UnknownParameters.REFUSE:
        raise unknown_parameter(names.unknown[0])
    warnings = tuple(
        DecisionWarning.of(WarningCode.UNKNOWN_PARAMETER, f"{quote_name(name)} has no effect")
        for name in names.unknown
    )
    if names.cfg:
        return _split_cfg(names, warnings)
    decoded = tuple((name, decode_percent(value, name)) for name, value in names.legacy)
    return SplitRequest(Spelling.LEGACY, (Group(decoded),) if decoded else (), warnings)


def _split_cfg(names: QueryNames, warnings: tuple[DecisionWarning, ...]) -> SplitRequest:
    pairs = (*names.cfg, *names.legacy)
    if len(pairs) > 1:
        shown = " and ".join(quote_name(name) for name, _ in pairs[:4])
        raise ServiceSpecific(
            f"the query has {shown}, expected cfg or cfg64 alone: several spellings could "
            "contradict each other"
        )
    name, encoded = pairs[0]
    value = decode_percent(encoded, name)
    if name == Spelling.CFG:
        return SplitRequest(Spelling.CFG, parse_groups(value), warnings)
    return SplitRequest(Spelling.CFG64, _parse_base64(value), warnings)


def split_custom_data(text: str) -> SplitRequest:
    """Return the unchecked names and values of CustomData, none if it is anything else.

    Raises ServiceSpecific for malformed text after `json=`.
    """
    text = text.strip()
    if text[: len(JSON_PREFIX)].lower() == JSON_PREFIX:
        return SplitRequest(
            Spelling.JSON, parse_array(text[len(JSON_PREFIX) :], "json in CustomData")
        )
    if not text.startswith(("[", "{")):
        return SplitRequest(Spelling.JSON)
    return _split_plain_json(text)


def _split_plain_json(text: str) -> SplitRequest:
    # It may be an operator's own JSON for the hooks, so that no refusal comes of it unless names
    # of ours, and not only ones that everybody uses, are in it.
    try:
        groups = parse_array(text, "JSON in CustomData")
    except ServiceSpecific as refusal:
        return _unused_json(refusal.text)
    names = {name.lower() for group in groups for name, _ in group.items}
    known = names & BY_NAME.keys()
    if known - SHARED_NAMES or (known and known == names):
        return SplitRequest(Spelling.JSON, groups)
    return _unused_json("it has no name of a parameter, or other names too")


def _unused_json(reason: str) -> SplitRequest:
    warning = DecisionWarning.of(
        WarningCode.CUSTOM_DATA, f"CustomData begins like JSON and has no effect: {reason}"
    )
    return SplitRequest(Spelling.JSON, warnings=(warning,))


def read_group(spelling: Spelling, group: Group) -> RequestedLicense:
    """Return the licence that names and values request; raises ServiceSpecific."""
    if spelling is not Spelling.LEGACY:
        return read_license(group)
    return read_legacy((name, require_text(value)) for name, value in group.items)


def write(requested_licenses: tuple[RequestedLicense, ...], spelling: Spelling) -> str:
    """Return the query or CustomData that requests licences.

    Raises ServiceSpecific for licences that the legacy spelling cannot express.
    """
    if spelling is Spelling.LEGACY:
        pairs = _write_legacy(requested_licenses)
        return "&".join(f"{name}={value}".replace(" ", "%20") for name, value in pairs)
    groups = tuple(map(write_license, requested_licenses))
    if spelling is Spelling.CFG:
        return f"cfg={build_groups(groups)}"
    array = build_array(groups)
    return f"json={array}" if spelling is Spelling.JSON else f"cfg64={_base64(array)}"


def _write_legacy(requested_licenses: tuple[RequestedLicense, ...]) -> list[tuple[str, str]]:
    if len(requested_licenses) != 1:
        raise ServiceSpecific(
            f"the legacy spelling asks for one licence, not for {len(requested_licenses)}"
        )
    return write_legacy(requested_licenses[0])


def _parse_base64(text: str) -> tuple[Group, ...]:
    try:
        json = decode_lenient(text).decode()
    except (InvalidValue, UnicodeDecodeError):
        raise ServiceSpecific(
            f"cfg64 is a value of {len(text)} characters, expected base64 of a JSON array in UTF-8"
        ) from None
    return parse_array(json, "cfg64")


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
