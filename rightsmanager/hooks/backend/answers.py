"""Answers of the back end: a choice, or a refusal for the client.

    {"decision": "allow", …}      the members of Choice, with `licenses` in place of `grants`
    {"decision": "refuse", …}     status, text, custom_data, redirect_url

An item of `licenses` changes the licences of a KID: expires_in_seconds, content_key, and fields of
their policy. The others stay as they are. Unknown members are refused, since a misspelled one would
grant more than the back end meant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from rightsmanager.errors import REFUSALS, InvalidMessage, ProtocolRedirect, Refusal, StatusCode
from rightsmanager.hooks.backend.reading import Members
from rightsmanager.hooks.choice import Choice, ChosenKey, Dropped, is_xml, refuse_custom_data
from rightsmanager.policy.grants import Grant, OutputLevels, Policy
from rightsmanager.protocol.wire import CONTENT_KEY_LENGTH, AccountId, Kid

MAX_TEXT: Final = 1024
"""Longest text of a refusal and of a reason, in characters."""
_NUMBERS: Final = {
    each.name: each.type is not int for each in fields(Policy) if each.type in (int, int | None)
}
"""The numbers that an answer may set in a policy, and whether null removes them."""
_BOOLEANS: Final = tuple(each.name for each in fields(Policy) if each.type is bool)
_LEVELS: Final = tuple(each.name for each in fields(OutputLevels))


def read_answer(document: object, grants: Sequence[Grant]) -> Choice | Refusal:
    """Return the choice of an answer for these licences, or its refusal.

    Raises InvalidMessage for a document of another form.
    """
    members = Members(document, "the answer")
    decision = members.text("decision")
    if decision == "refuse":
        return _read_refusal(members)
    if decision != "allow":
        given = "missing" if decision is None else repr(decision[:32])
        raise InvalidMessage(f"decision is {given}, expected 'allow' or 'refuse'")
    choice = Choice(
        grants=_change_all(grants, [_read_change(each) for each in members.each("licenses")]),
        dropped=tuple(map(_read_dropped, members.each("dropped"))),
        expires_in_seconds=members.number("expires_in_seconds"),
        stream_user=members.text("stream_user"),
        stream_limit=members.number("stream_limit"),
        account_id=members.guid("account_id", AccountId),
        keys=tuple(map(_read_key, members.each("keys"))),
        custom_data=members.text("custom_data"),
    )
    members.end()
    return choice


def _read_refusal(members: Members) -> Refusal:
    status = members.text("status") or StatusCode.SERVICE_SPECIFIC.hex
    kind = _KINDS.get(status.lower())
    if kind is None:
        raise InvalidMessage(f"status is {status[:32]!r}, expected one of {', '.join(_KINDS)}")
    text = _text(members, "text")
    custom_data, redirect_url = members.text("custom_data"), members.text("redirect_url")
    members.end()
    refuse_custom_data(custom_data)
    if (redirect_url is None) == (kind is ProtocolRedirect):
        raise InvalidMessage(
            f"redirect_url is given with the wrong status, expected it with "
            f"{ProtocolRedirect.status.hex} alone"
        )
    return kind(text, custom_data=custom_data, redirect_url=redirect_url)


_KINDS: Final = {status.hex: kind for status, kind in REFUSALS.items()}
"""The classes of refusals by their status in lower case."""


def _text(members: Members, name: str) -> str:
    text = members.text(name)
    if not text or len(text) > MAX_TEXT:
        raise InvalidMessage(
            f"{name} is {(text or '')[:32]!r}, expected 1 to {MAX_TEXT} characters"
        )
    if not is_xml(text):
        raise InvalidMessage(f"{name} has characters that XML does not allow")
    return text


def _kid(members: Members, name: str = "kid") -> Kid:
    kid = members.guid(name, Kid)
    if kid is None:
        raise InvalidMessage(f"an item has no {name}, expected one")
    return kid


def _read_dropped(members: Members) -> Dropped:
    dropped = Dropped(_kid(members), _text(members, "reason"))
    members.end()
    return dropped


def _read_key(members: Members) -> ChosenKey:
    key = ChosenKey(
        program=members.text("program"),
        period=members.number("period") or 0,
        kid=members.guid("kid", Kid),
        key=members.octets("key", CONTENT_KEY_LENGTH),
    )
    members.end()
    return key


# --- licences -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Change:
    """The changes of the licences of a KID."""

    kid: Kid
    # Any: fields of different types.
    policy: Mapping[str, Any]
    """Fields of Policy by name."""
    levels: Mapping[str, int]
    """Fields of OutputLevels by name."""
    content_key: bytes | None = field(repr=False)


def _read_change(members: Members) -> _Change:
    kid, content_key = _kid(members), members.octets("content_key", CONTENT_KEY_LENGTH)
    seconds = members.number("expires_in_seconds")
    given = members.members("policy")
    members.end()
    policy: dict[str, object] = {}
    levels: dict[str, int] = {}
    if given is not None:
        levels = _read_levels(given)
        policy = {name: _read_field(given, name) for name in given.names()}
    if seconds is not None:
        policy |= {"valid_for": seconds, "expiration": None}
    return _Change(kid, policy, levels, content_key)


def _read_field(members: Members, name: str) -> object:
    if name in _BOOLEANS:
        found: object = members.boolean(name)
    elif name in _NUMBERS:
        found = members.number(name)
    else:
        raise InvalidMessage(f"policy has {name[:64]!r}, expected a field that is a number or true")
    if found is None and not _NUMBERS.get(name):
        raise InvalidMessage(f"policy has {name} null, expected a value")
    return found


def _read_levels(members: Members) -> dict[str, int]:
    given = members.members("output_levels")
    if given is None:
        return {}
    levels = {name: given.number(name) for name in _LEVELS}
    given.end()
    return {name: level for name, level in levels.items() if level is not None}


def _change_all(grants: Sequence[Grant], changes: Sequence[_Change]) -> tuple[Grant, ...] | None:
    """Return the licences with their changes, None if there are none."""
    by_kid = {change.kid: change for change in changes}
    for kid in by_kid.keys() - {grant.kid for grant in grants}:
        raise InvalidMessage(f"licenses has KID {kid.text}, expected one of the request's")
    if len(by_kid) < len(changes):
        raise InvalidMessage("licenses has a KID twice, expected each once")
    if not changes:
        return None
    return tuple(
        _change(grant, by_kid[grant.kid]) if grant.kid in by_kid else grant for grant in grants
    )


def _change(grant: Grant, change: _Change) -> Grant:
    policy = replace(grant.policy, **change.policy)
    policy = replace(policy, output_levels=replace(policy.output_levels, **change.levels))
    if change.content_key is None:
        return replace(grant, policy=policy)
    return replace(grant, policy=policy, content_key=change.content_key, key_seed=None)
