"""Requests for licences in four spellings, parsed and written.

    cfg=(name:value,…)[,(…)]    in the URL, see `brackets`
    cfg64=base64                in the URL, base64 of the array of `json_text`
    Name=value&Name=value       in the URL, see `legacy`
    json=[{…},…]                in the challenge's CustomData, see `json_text`

CustomData is ignored if the URL has parameters. The server's defaults apply to each parameter that
is not given.
"""

from base64 import b64encode
from enum import StrEnum
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.brackets import build_groups, parse_groups
from rightsmanager.policy.json_text import build_array, parse_array
from rightsmanager.policy.legacy import read_legacy, write_legacy
from rightsmanager.policy.parsed_values import Group, ParserLimits, decode_percent, quote_name
from rightsmanager.policy.requested_licenses import RequestedLicense, read_license, write_license
from rightsmanager.policy.value_types import InvalidValue, decode_lenient, require_text


class Spelling(StrEnum):
    """The four ways to write a request."""

    CFG = "cfg"
    CFG64 = "cfg64"
    JSON = "json"
    LEGACY = "legacy"


JSON_PREFIX: Final = "json="
"""The start of CustomData that requests licences, in any letter case."""


def parse_request(query: str, custom_data: str | None) -> tuple[RequestedLicense, ...]:
    """Return the licences that a request names, one for each group; none without parameters.

    `query` is percent-encoded and has no question mark. Raises ServiceSpecific.
    """
    if query:
        requested_licenses = parse_query(query)
        if requested_licenses:
            return requested_licenses
    return parse_custom_data(custom_data) if custom_data else ()


def parse_query(query: str) -> tuple[RequestedLicense, ...]:
    """Return the licences that a query names; raises ServiceSpecific."""
    spelling, groups = split_query(query)
    return tuple(read_group(spelling, group) for group in groups)


def parse_custom_data(text: str) -> tuple[RequestedLicense, ...]:
    """Return the licences that CustomData names, none if it is anything else."""
    return tuple(map(read_license, split_custom_data(text)))


def split_query(query: str) -> tuple[Spelling, tuple[Group, ...]]:
    """Return the spelling of a query and its unchecked names and values.

    Raises ServiceSpecific for malformed text.
    """
    ParserLimits("the query", query)
    parts = [part.partition("=") for part in query.replace("&amp;", "&").split("&") if part]
    pairs = [(decode_percent(name, "a name"), value) for name, _, value in parts]
    names = [name.lower() for name, _ in pairs]
    if Spelling.CFG not in names and Spelling.CFG64 not in names:
        decoded = tuple((name, decode_percent(value, name)) for name, value in pairs)
        return Spelling.LEGACY, (Group(decoded),) if decoded else ()
    if len(pairs) > 1:
        shown = " and ".join(quote_name(name) for name, _ in pairs[:4])
        raise ServiceSpecific(
            f"the query has {shown}, expected cfg or cfg64 alone: several spellings could "
            "contradict each other"
        )
    value = decode_percent(pairs[0][1], names[0])
    if names[0] == Spelling.CFG:
        return Spelling.CFG, parse_groups(value)
    return Spelling.CFG64, _parse_base64(value)


def split_custom_data(text: str) -> tuple[Group, ...]:
    """Return the unchecked names and values of CustomData, none if it is anything else.

    Raises ServiceSpecific for malformed text.
    """
    text = text.strip()
    if text[: len(JSON_PREFIX)].lower() != JSON_PREFIX:
        return ()
    return parse_array(text[len(JSON_PREFIX) :], "json in CustomData")


def read_group(spelling: Spelling, group: Group) -> RequestedLicense:
    """Return the licence that names and values request; raises ServiceSpecific."""
    if spelling is not Spelling.LEGACY:
        return read_license(group)
    return read_legacy((name, require_text(raw)) for name, raw in group.items)


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
