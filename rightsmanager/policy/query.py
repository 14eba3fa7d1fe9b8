"""What a request asks, in whichever of the four spellings, and how each of them writes it.

    cfg=(name:value,…)[,(…)]    in the URL, see `brackets`
    cfg64=base64                in the URL, base64 of the array of `json_text`
    Name=value&Name=value       in the URL, see `legacy`
    json=[{…},…]                in the challenge's CustomData, see `json_text`

What the URL asks wins over what CustomData asks, all of it, and both over the server's defaults,
which hold for each parameter that is not named.
"""

from base64 import b64encode
from enum import StrEnum
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.brackets import build_groups, parse_groups
from rightsmanager.policy.json_text import build_array, parse_array
from rightsmanager.policy.kinds import InvalidValue, decode_lenient, text_of
from rightsmanager.policy.legacy import read_legacy, write_legacy
from rightsmanager.policy.raw import Group, ParserLimits, decode_percent, quote_name
from rightsmanager.policy.requested_licenses import RequestedLicense, read_wish, write_wish


class Spelling(StrEnum):
    """How a request may be written."""

    CFG = "cfg"
    CFG64 = "cfg64"
    JSON = "json"
    LEGACY = "legacy"


JSON_PREFIX: Final = "json="
"""What CustomData begins with, in any letter case, where it asks for licences."""


def parse_request(query: str, custom_data: str | None) -> tuple[RequestedLicense, ...]:
    """Return what a request asks, one requested for each group; none where it asks nothing.

    `query` is as it came, undecoded and without the question mark. Raises ServiceSpecific.
    """
    if query:
        requested_licenses = parse_query(query)
        if requested_licenses:
            return requested_licenses
    return parse_custom_data(custom_data) if custom_data else ()


def parse_query(query: str) -> tuple[RequestedLicense, ...]:
    """Return what a query asks; raises ServiceSpecific."""
    spelling, groups = split_query(query)
    return tuple(read_group(spelling, group) for group in groups)


def parse_custom_data(text: str) -> tuple[RequestedLicense, ...]:
    """Return what CustomData asks, nothing where it is something else; raises ServiceSpecific."""
    return tuple(map(read_wish, split_custom_data(text)))


def split_query(query: str) -> tuple[Spelling, tuple[Group, ...]]:
    """Return how a query is written, and its names and values, not looked at yet.

    Raises ServiceSpecific where they cannot be told apart.
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
            f"the query has {shown}, expected cfg or cfg64 alone: what several spellings ask would "
            "contradict"
        )
    value = decode_percent(pairs[0][1], names[0])
    if names[0] == Spelling.CFG:
        return Spelling.CFG, parse_groups(value)
    return Spelling.CFG64, _parse_base64(value)


def split_custom_data(text: str) -> tuple[Group, ...]:
    """Return the names and values of CustomData, none where it is something else.

    Raises ServiceSpecific where they cannot be told apart.
    """
    text = text.strip()
    if text[: len(JSON_PREFIX)].lower() != JSON_PREFIX:
        return ()
    return parse_array(text[len(JSON_PREFIX) :], "json in CustomData")


def read_group(spelling: Spelling, group: Group) -> RequestedLicense:
    """Return what one licence's names and values ask; raises ServiceSpecific."""
    if spelling is not Spelling.LEGACY:
        return read_wish(group)
    return read_legacy((name, text_of(raw)) for name, raw in group.items)


def write(requested_licenses: tuple[RequestedLicense, ...], spelling: Spelling) -> str:
    """Return the query, or the CustomData, that asks it.

    Raises ServiceSpecific for what the legacy spelling cannot say.
    """
    if spelling is Spelling.LEGACY:
        pairs = _write_legacy(requested_licenses)
        return "&".join(f"{name}={value}".replace(" ", "%20") for name, value in pairs)
    groups = tuple(map(write_wish, requested_licenses))
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
