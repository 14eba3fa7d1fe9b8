"""A request to the key endpoint, and its answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from rightsmanager.errors import InternalError, InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.hooks.facts import KEY_ENDPOINT, Progress
from rightsmanager.operations.access import AccessDenied
from rightsmanager.operations.context import Context
from rightsmanager.operations.hook_keys import ask_hooks_for_keys, build_packager_facts
from rightsmanager.operations.packaging_keys import PackagingOptions, named_options
from rightsmanager.operations.program_keys import (
    ContradictingKey,
    Slot,
    WantedKey,
    WantedTrack,
    issue_protected_keys,
    refuse_program,
)
from rightsmanager.protocol.formats.keylists.entry import LAST_PERIOD, SCHEMES
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.web.http import BodyTooLarge

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the key endpoint."""

    status: HTTPStatus
    content_type: str
    body: bytes = field(repr=False)
    headers: Headers = ()
    kids: tuple[str, ...] = ()
    """The KIDs in the body, for the log."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may have keys."""

    context: Context
    rest: str
    """The path after the endpoint's own part."""
    query: str
    headers: Mapping[str, str] = field(repr=False)
    remote: str
    socket: Any = field(repr=False)
    url: str
    """The URL of the service, for PlayReady headers."""
    body: bytes = field(default=b"", repr=False)
    form: str = ""
    """The name of the form, such as `cpix`."""
    request_id: str = ""
    """As in the log."""

    @property
    def options(self) -> PackagingOptions:
        """The form of headers, with what the query names; raises ServiceSpecific."""
        return named_options(self.context.options.packaging, self.query)

    def named(self, name: str) -> str:
        """Return the only value of a name in the query, empty without one."""
        values = parse_qs(self.query).get(name, [""])
        if len(values) > 1:
            raise InvalidMessage(f"{name} is given {len(values)} times, expected once")
        return values[0]

    @property
    def scheme(self) -> str | None:
        """The scheme that the query names; raises InvalidMessage."""
        scheme = self.named("scheme").lower()
        if scheme and scheme not in SCHEMES:
            raise InvalidMessage(f"scheme is {scheme[:32]!r}, expected one of {', '.join(SCHEMES)}")
        return scheme or None

    def wanted(self, program: str, period: int, scheme: str | None) -> WantedKey:
        """Return the request for a program's key; raises InvalidMessage for its name."""
        refuse_program(program)
        if not 0 <= period <= LAST_PERIOD:
            raise InvalidMessage(f"the key period is {period}, expected 0 to {LAST_PERIOD}")
        return WantedKey(Slot(program, period), scheme=scheme)

    def issue(self, tracks: Sequence[WantedTrack]) -> tuple[ProtectedKey, ...]:
        """Return the keys of tracks, as hooks choose them; they are stored."""
        options = self.options
        for track in tracks:
            _refuse_two_types(options, track.key.scheme)
        if self.context.hooks.is_used:
            tracks = _with_keys(tracks, self._ask_hooks([track.key for track in tracks]))
        return issue_protected_keys(self.context, options, tracks, self.url)

    def _ask_hooks(self, wanted: Sequence[WantedKey]) -> tuple[WantedKey, ...]:
        """Return the keys as hooks choose them; raises AccessDenied for their refusals."""
        facts = build_packager_facts(KEY_ENDPOINT, self, self.form)
        try:
            return ask_hooks_for_keys(self.context, Progress(), facts, wanted)
        except (InternalError, ContradictingKey):
            raise
        except Refusal as refusal:
            raise AccessDenied(refusal.text) from refusal


def _with_keys(tracks: Sequence[WantedTrack], keys: Sequence[WantedKey]) -> list[WantedTrack]:
    """Return the tracks with the keys that hooks chose, whose KIDs may be others."""
    pairs = list(zip(tracks, keys, strict=True))
    kids = {track.key.kid: key.kid for track, key in pairs}
    return [
        replace(track, key=key, root=None if track.root is None else kids[track.root])
        for track, key in pairs
    ]


def _refuse_two_types(options: PackagingOptions, scheme: str | None) -> None:
    """Raise InvalidMessage for a scheme of another key type than that of the query."""
    algid = options.key_type.upper()
    if scheme and options.is_key_type_named and SCHEMES[scheme] != options.key_type:
        expected = SCHEMES[scheme].upper()
        raise InvalidMessage(f"algid is {algid}, expected {expected} for the scheme {scheme}")


Handler = Callable[[Call], Answer]


def http_status(refusal: Refusal) -> HTTPStatus:
    """Return the HTTP status of a refusal."""
    if isinstance(refusal, AccessDenied):
        return HTTPStatus.UNAUTHORIZED if refusal.needs_token else HTTPStatus.FORBIDDEN
    for kind, status in _STATUSES.items():
        if isinstance(refusal, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


_STATUSES: Mapping[type[Refusal], HTTPStatus] = {
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ContradictingKey: HTTPStatus.CONFLICT,
    InvalidMessage: HTTPStatus.BAD_REQUEST,
    ServiceSpecific: HTTPStatus.BAD_REQUEST,
}
"""The status of each class of refusals: the first that fits."""
