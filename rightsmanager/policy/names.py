"""The names in a query: parameters, names of players and stacks, and misspelled parameters.

not read        wsdl, singlewsdl, op, disco and CMCD, which SOAP stacks and players add
parameters      cfg and cfg64, or legacy names, also separated by semicolons
refused         names close to a parameter's, and names that belong into cfg=(…)
unknown         all others, such as tokens, session ids and cache busters
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.legacy import LEGACY_NAMES
from rightsmanager.policy.parameters import BY_NAME
from rightsmanager.policy.parsed_values import ParserLimits, decode_percent, quote_name
from rightsmanager.policy.requested_licenses import unknown_name
from rightsmanager.policy.value_types import InvalidValue, read_guid
from rightsmanager.protocol.wire import AccountId

NOT_READ: Final = frozenset({"wsdl", "singlewsdl", "op", "disco", "cmcd"})
"""Names that stacks and players add to a service's URL, in lower case."""
SHARED_NAMES: Final = frozenset(
    {"kid", "mid", "tid", "msg", "accountid", "sourceid", "expiration", "enddate", "begindate"}
    | {"simple", "copyright", "revoked", "embedding", "clientinfo"}
)
"""Parameters whose name is also common in the queries and JSON of others."""
_SHARED_IDS: Final = frozenset({"kid", "mid", "tid", "msg"})
"""Parameters that are unknown outside of cfg=(…), since services use the names for their own."""

_CFG: Final = frozenset({"cfg", "cfg64"})
_ACCOUNT: Final = "accountid"
# Comparing long names with all known ones would take long.
_MAX_COMPARED: Final = 40
# By the public record: ContentId (0.74) and KeyId (0.67) are names of others, PlayRihgt (0.89) is a
# typo. ContentKeyId has 0.91, hence the limit on the length too.
_NEAR: Final = 0.85
_MAX_LENGTH_DIFFERENCE: Final = 1
_MIN_COMPARED: Final = 6
"""Shortest name outside the legacy spelling that others are compared with, in characters."""
_CFG_NAMES: Final = tuple(
    name for name in BY_NAME if len(name) >= _MIN_COMPARED and name not in LEGACY_NAMES
)
_COMPARED: Final = (*LEGACY_NAMES, *_CFG_NAMES)
_BRACKET: Final = re.compile(r"(?:\(|%28)(\w+)", re.ASCII | re.IGNORECASE)
"""The start of a value as cfg has it."""

_SEMICOLON: Final = re.compile(rf";\s*(?=(?:{'|'.join(LEGACY_NAMES)})=)", re.IGNORECASE)
"""A separator of legacy parameters, but not a semicolon within a value."""

Pair = tuple[str, str]
"""A name and its percent-encoded value."""


@dataclass(frozen=True, slots=True)
class QueryNames:
    """A query by kinds of names."""

    cfg: tuple[Pair, ...]
    """Named cfg or cfg64, in lower case."""
    legacy: tuple[Pair, ...]
    unknown: tuple[str, ...]


def sort_names(query: str) -> QueryNames:
    """Return the names of a query by kind.

    Raises ServiceSpecific for misspelled parameters and queries over the limits.
    """
    limits = ParserLimits("the query", query)
    cfg: list[Pair] = []
    legacy: list[Pair] = []
    unknown: list[str] = []
    for name, value in _pairs(query):
        limits.value()
        lower = name.lower()
        if lower in _CFG:
            cfg.append((lower, value))
        elif lower in LEGACY_NAMES:
            legacy.append((name, value))
        elif lower not in NOT_READ:
            _refuse_misspelled(name, value)
            unknown.append(name)
    return _without_foreign_account(QueryNames(tuple(cfg), tuple(legacy), tuple(unknown)))


def _pairs(query: str) -> Iterable[Pair]:
    for part in query.replace("&amp;", "&").split("&"):
        if not part:
            continue
        first = part.partition("=")[0].lower()
        for piece in _SEMICOLON.split(part) if first in LEGACY_NAMES else (part,):
            name, _, value = piece.partition("=")
            yield _decode_name(name), value


def _decode_name(name: str) -> str:
    try:
        return decode_percent(name, "a name")
    except ServiceSpecific:
        # No parameter has such a name: it is one of others.
        return name


def _refuse_misspelled(name: str, value: str) -> None:
    lower = name.lower()[:_MAX_COMPARED]
    if lower in BY_NAME and lower not in _SHARED_IDS:
        raise ServiceSpecific(
            f"{quote_name(name)} is unknown in the legacy spelling, expected it in cfg=(…)"
        )
    bracket = _BRACKET.match(value)
    if lower.startswith("cfg") or (bracket is not None and bracket[1].lower() in BY_NAME):
        raise ServiceSpecific(
            f"{quote_name(name)} is an unknown parameter, the nearest known name is cfg"
        )
    if _is_near_known(lower):
        raise unknown_parameter(name)


def _is_near_known(name: str) -> bool:
    matcher = difflib.SequenceMatcher(b=name)
    for known in _COMPARED:
        if abs(len(name) - len(known)) > _MAX_LENGTH_DIFFERENCE:
            continue
        matcher.set_seq1(known)
        # The cheap upper bound first: a query may have many names.
        if matcher.quick_ratio() >= _NEAR and matcher.ratio() >= _NEAR:
            return True
    return False


def unknown_parameter(name: str) -> ServiceSpecific:
    """Return the refusal of an unknown name in a query."""
    return unknown_name(name, (*LEGACY_NAMES.values(), *_CFG_NAMES))


def _without_foreign_account(names: QueryNames) -> QueryNames:
    """Return the names with AccountID among the unknown ones if it is another service's."""
    if not names.unknown:
        return names
    own = tuple(pair for pair in names.legacy if not _is_foreign_account(*pair))
    foreign = tuple(name for name, value in names.legacy if _is_foreign_account(name, value))
    return QueryNames(names.cfg, own, names.unknown + foreign)


def _is_foreign_account(name: str, value: str) -> bool:
    # A published service has CrmId, AccountId and ContentId, whose values are names.
    if name.lower() != _ACCOUNT:
        return False
    try:
        read_guid(decode_percent(value, name).strip(), AccountId)
    except (InvalidValue, ServiceSpecific):
        return True
    return False
