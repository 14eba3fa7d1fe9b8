"""Posts a stored request again, and puts both outcomes next to each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.response import parse_fault
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.journal.entries import OK, StoredEntry

_EXCEPTION_TYPE: Final = "System.Web.Services.Protocols.SoapException: "
"""Begins the text of every fault."""

Post = Callable[[str, Mapping[str, str], bytes], bytes]
"""Posts a body with headers to a URL and returns the body of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a request."""

    outcome: str
    """`ok`, or the status code."""
    reason: str | None
    """The text of the fault."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcomes of a stored request and of the same one now."""

    before: Answer
    after: Answer

    @property
    def is_alike(self) -> bool:
        """Whether both have one status code."""
        return self.before.outcome == self.after.outcome


def replay(stored: StoredEntry, post: Post, url: str | None = None) -> Replayed:
    """Post a stored request again, to its own URL unless another one is given.

    Raises InvalidMessage unless it is stored as it was sent, and what `post` raises.
    """
    refuse_inexact(stored)
    entry = stored.entry
    target = f"{url or entry.url}{'?' if entry.query else ''}{entry.query}"
    headers = {
        name: value
        for name, value in (
            ("Content-Type", entry.content_type),
            ("SOAPAction", entry.soap_action),
            ("User-Agent", entry.user_agent),
        )
        if value
    }
    before = Answer(entry.outcome, entry.reason, stored.reply)
    return Replayed(before, read_answer(post(target, headers, stored.request)))


def refuse_inexact(stored: StoredEntry) -> None:
    """Raise InvalidMessage unless an entry's request is stored as it was sent."""
    entry = stored.entry
    if entry.kind != "request":
        reason = "is an act, expected a request"
    elif not entry.has_request:
        reason = "has no request body: it was not received, or it may contain a content key, or "
        reason += "journal.bodies is off"
    elif entry.is_request_cut:
        reason = f"has the first {len(stored.request)} of {entry.bytes_in} bytes only"
    elif entry.is_masked:
        reason = "has a masked query, expected the one that was sent"
    else:
        return
    raise InvalidMessage(f"entry {entry.id} cannot be replayed: it {reason}")


def read_answer(body: bytes) -> Answer:
    """Return the outcome that a reply has; raises InvalidMessage unless it is an envelope."""
    fault = parse_fault(parse_envelope(body))
    if fault is None:
        return Answer(OK, None, body)
    reason = fault.text.removeprefix(_EXCEPTION_TYPE)
    return Answer(f"0x{fault.status:08x}", reason, body)
