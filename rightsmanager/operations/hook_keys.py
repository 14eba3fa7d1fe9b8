"""Hooks for packagers' requests: access to keys, and the KIDs and keys of new programs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from rightsmanager.errors import InternalError
from rightsmanager.hooks.choice import ChosenKey
from rightsmanager.hooks.facts import Facts, Progress, RequestedKey
from rightsmanager.operations.context import Context
from rightsmanager.operations.program_keys import ContradictingKey, WantedKey
from rightsmanager.protocol.wire import Kid


class Arrival(Protocol):
    """A packager's request as it arrived."""

    @property
    def url(self) -> str:
        """The URL of the service, without a query."""

    @property
    def query(self) -> str:
        """The query string as received."""

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers by lower-case name."""

    @property
    def remote(self) -> str:
        """The client's address."""

    @property
    def request_id(self) -> str:
        """The id of the request in the log."""


def build_packager_facts(operation: str, arrival: Arrival, protocol: str = "") -> Facts:
    """Return the facts that hooks receive of a packager's request."""
    return Facts(
        operation=operation,
        url=arrival.url,
        query=arrival.query,
        headers=arrival.headers,
        remote=arrival.remote,
        request_id=arrival.request_id,
        protocol=protocol,
    )


def ask_hooks_for_keys(
    context: Context, progress: Progress, facts: Facts, wanted: Sequence[WantedKey]
) -> tuple[WantedKey, ...]:
    """Return the wanted keys with the KIDs and keys that the hooks have; raises their Refusal."""
    requested = {each: _to_request(each) for each in wanted}
    facts = replace(facts, keys=tuple(dict.fromkeys(requested.values())))
    choice = context.hooks.decide(progress, facts)
    chosen = {_place(each.program, each.period, each.kid): each for each in choice.keys}
    known = {_place(each.program, each.period, each.kid) for each in facts.keys}
    for program, period, kid in chosen.keys() - known:
        raise InternalError(
            f"the operator's choose returned a key for {program or kid}, period {period}, which "
            "is not requested"
        )
    found = {each: _apply(each, chosen) for each in requested}
    if context.hooks.finds_content_keys:
        found = {each: _with_hooks_key(context, facts, key) for each, key in found.items()}
    return tuple(found[each] for each in wanted)


_Place = tuple[str | None, int, Kid | None]


def _place(program: str | None, period: int, kid: Kid | None) -> _Place:
    """Return the program and its period, or the KID of a key that belongs to no program."""
    return (None, 0, kid) if program is None else (program, period, None)


def _to_request(wanted: WantedKey) -> RequestedKey:
    program, period = wanted.slot or (None, 0)
    return RequestedKey(program, period, wanted.kid, wanted.scheme)


def _apply(wanted: WantedKey, chosen: Mapping[_Place, ChosenKey]) -> WantedKey:
    """Return the wanted key with the KID and the key of the choice.

    Raises ContradictingKey for another KID or key than the packager's own.
    """
    program, period = wanted.slot or (None, 0)
    each = chosen.get(_place(program, period, wanted.kid))
    if each is None:
        return wanted
    kid = each.kid or wanted.kid
    if wanted.kid not in {None, kid} and not wanted.is_kid_replaced:
        raise ContradictingKey(f"the KID is {wanted.kid}, expected {kid}, which the operator chose")
    key = each.key or wanted.key
    if wanted.key not in {None, key}:
        raise ContradictingKey(f"KID {kid} has another content key by the operator's choice")
    return replace(wanted, kid=kid, key=key)


def _with_hooks_key(context: Context, facts: Facts, wanted: WantedKey) -> WantedKey:
    """Return the wanted key with the content key that the hook has for its KID.

    Licences have that key too, so that another one must not be given to packagers.
    """
    if wanted.key is not None:
        return wanted
    # Before the transaction: a hook must not make others wait for its locks.
    kid = _find_kid(context, wanted)
    key = None if kid is None else context.hooks.find_content_key(facts, kid)
    return wanted if key is None else replace(wanted, key=key)


def _find_kid(context: Context, wanted: WantedKey) -> Kid | None:
    if wanted.slot is None:
        return wanted.kid
    with context.store.reading() as found:
        return found.sources.find_kid(*wanted.slot) or wanted.kid
