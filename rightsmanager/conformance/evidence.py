"""The evidence of a scenario: what the client sent and what it got, in the order of arrival."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.xml.xmlview import Xml
from rightsmanager.testing.journal import Exchange

ACQUIRE: Final = "AcquireLicense"
ACKNOWLEDGE: Final = "AcknowledgeLicense"
JOIN: Final = "JoinDomain"
LEAVE: Final = "LeaveDomain"
METER: Final = "ProcessMeteringData"
STOP: Final = "ProcessSecureStopData"
DELETE: Final = "ProcessDeleteLicenseData"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that the client sent, and its outcome."""

    id: int
    """Of the journal's entry."""
    step: int
    """From 1."""
    operation: str
    outcome: str
    reason: str | None
    url: str
    nonce: str | None
    """Base64."""
    lists: Mapping[str, int]
    """The version of each revocation list that the challenge names, by the list's id in base64."""
    transaction_id: str | None
    """Of the request; a GUID in lower case."""
    given_lists: frozenset[str]
    """The ids of the revocation lists in the reply."""
    given_transaction_id: str | None
    """Of the reply."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """The outcome of the checks of its digest and signature: see `rightsmanager show`."""

    @property
    def is_ok(self) -> bool:
        """Whether it was not refused."""
        return self.outcome == "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that a scenario showed."""

    seen: tuple[Seen, ...]
    """In the order of arrival."""
    lists: Mapping[str, int] = field(default_factory=dict)
    """The newest version of each revocation list of the world, by its id in base64."""
    plays: int = 0
    """The plays that the world counted for the scenario's KID."""
    stopped_sessions: int = 0
    """The sessions of the KID that were reported as cleanly stopped."""

    def of(self, operation: str, step: int | None = None) -> tuple[Seen, ...]:
        """Return the requests to an operation, of all steps or of one."""
        return tuple(
            each
            for each in self.seen
            if each.operation == operation and (step is None or each.step == step)
        )

    def after(self, first: Seen, *operations: str) -> tuple[Seen, ...]:
        """Return the requests to some operations after one request."""
        return tuple(
            each for each in self.seen if each.id > first.id and each.operation in operations
        )

    def refused(self, status: str) -> tuple[Seen, ...]:
        """Return the licence requests that were refused with a status code."""
        return tuple(each for each in self.of(ACQUIRE) if each.outcome == status)


def see(exchange: Exchange, step: int) -> Seen:
    """Return a recorded exchange as evidence."""
    request, sent, answered = exchange.request, _parse(exchange.sent), _parse(exchange.answered)
    decoded = exchange.decoded_request
    return Seen(
        id=request.id,
        step=step,
        operation=request.operation,
        outcome=request.outcome,
        reason=request.reason,
        url=request.url,
        nonce=_text(sent, "LicenseNonce"),
        lists=dict(_lists(sent)),
        transaction_id=_lower(_text(sent, "TransactionID")),
        given_lists=frozenset(_given(answered)),
        given_transaction_id=_lower(_text(answered, "TransactionID")),
        checks={} if decoded is None else decoded.checks,
    )


def _parse(body: bytes) -> Xml | None:
    try:
        return Xml.parse(body, "the message") if body else None
    except InvalidMessage:
        return None


def _text(message: Xml | None, name: str) -> str | None:
    found = None if message is None else message.find(name)
    return None if found is None else found.text.strip()


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _lists(message: Xml | None) -> Iterator[tuple[str, int]]:
    for each in () if message is None else message.find_all("RevListInfo"):
        name, version = _text(each, "ListID"), _text(each, "Version")
        if name and version and version.isdecimal():
            yield name, int(version)


def _given(message: Xml | None) -> Iterator[str]:
    for each in () if message is None else message.find_all("Revocation"):
        name = _text(each, "ListID")
        if name:
            yield name
