"""The values of the journal: entries, filters and counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final, Literal, NamedTuple

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import GUID_LENGTH, AccountId, Kid

Kind = Literal["request", "act"]
KINDS: Final[tuple[Kind, ...]] = ("request", "act")
"""By their numbers in the database."""
REQUEST: Final = KINDS.index("request")
ACT: Final = KINDS.index("act")
OK: Final = "ok"
FAULT: Final = "fault"
PART: Final = "&"
"""The separator of a query's parts."""
_MAX_STATUS: Final = 0xFFFFFFFF


class Flag(IntFlag):
    """Differences between an entry and the request as it was sent."""

    MASKED = 1
    """The query or the CustomData has a mask, or is shortened."""
    REQUEST_CUT = 2
    REPLY_CUT = 4
    REQUEST_WITHHELD = 8
    """The request is not stored, since it may contain a content key."""
    REPLY_MASKED = 16
    """The reply's content keys are masked."""
    HAS_REQUEST = 32
    HAS_REPLY = 64


NO_FLAG: Final = Flag(0)


def split_kids(raw: bytes) -> tuple[bytes, ...]:
    """Return the KIDs of a row, 16 bytes each."""
    return tuple([raw[at : at + GUID_LENGTH] for at in range(0, len(raw), GUID_LENGTH)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request to the service, or an act of an operator."""

    id: int
    kind: Kind
    at_ms: int
    """Unix milliseconds at the end of the request."""
    request_id: str
    operation: str
    """The wire name, empty if the envelope names none; the protocol of a request to the key
    endpoint; the name of an act."""
    status: int
    """0, or the status code of the refusal."""
    failed: str | None = None
    """The class of the refusal, which names the kind of check that failed."""
    stage: str | None = None
    """The stage that refused."""
    reason: str | None = None
    """The text of the refusal."""
    device: str | None = None
    """The device id."""
    account: str | None = None
    """The account's GUID as text."""
    kids: tuple[Kid, ...] = ()
    client: str = ""
    """The client's address."""
    url: str = ""
    """Without its query."""
    query: str = ""
    """Keys and tokens masked."""
    custom_data: str | None = None
    """Keys and tokens masked."""
    user_agent: str = ""
    soap_action: str = ""
    content_type: str = ""
    warnings: tuple[str, ...] = ()
    http_status: int = 0
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    """The milliseconds of each stage that began."""
    bytes_in: int = 0
    bytes_out: int = 0
    worker: str = ""
    """The process that answered: its id, a hyphen and random digits."""
    flags: Flag = NO_FLAG
    actor: str | None = None
    """The operator, of an act."""
    subject: str | None = None
    """The object of an act."""
    injected: str | None = None
    """Kind and id of each fault that the lab injected."""

    @property
    def outcome(self) -> str:
        """`ok`, or the status code as faults spell it."""
        return spell_outcome(self.status)

    @property
    def total_ms(self) -> float:
        """The milliseconds of all stages."""
        return round(sum(self.stages_ms.values()), 3)

    @property
    def is_masked(self) -> bool:
        """Whether the query or the CustomData differs from what was sent."""
        return Flag.MASKED in self.flags

    @property
    def is_request_cut(self) -> bool:
        """Whether only the request's beginning is stored."""
        return Flag.REQUEST_CUT in self.flags

    @property
    def is_reply_cut(self) -> bool:
        """Whether only the reply's beginning is stored."""
        return Flag.REPLY_CUT in self.flags

    @property
    def has_request(self) -> bool:
        """Whether the request's body is stored."""
        return Flag.HAS_REQUEST in self.flags

    @property
    def has_reply(self) -> bool:
        """Whether the reply's body is stored."""
        return Flag.HAS_REPLY in self.flags


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry with its bodies."""

    entry: Entry
    request: bytes = field(default=b"", repr=False)
    """Empty if it is not stored."""
    reply: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The entries to find; None for any."""

    operation: str | None = None
    outcome: str | None = None
    """`ok`, `fault`, or a status code such as `0x8004c601`."""
    device: str | None = None
    kid: Kid | None = None
    account: AccountId | None = None
    text: str | None = None
    """A part of the request id, operation, refusal, query, CustomData, warnings, user agent,
    address, actor or subject, in any letter case."""
    since_ms: int | None = None
    """Unix milliseconds; entries at this time or later."""
    until_ms: int | None = None
    """Unix milliseconds; entries before this time."""
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A part of a list of entries, newest first."""

    entries: tuple[Entry, ...]
    next: int | None
    """The id that the next page comes before; None at the end."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """Entries of all workers since the journal was made."""

    accepted: int = 0
    """Requests to be recorded."""
    written: int = 0
    """Entries that were stored, those that are removed by now included."""
    dropped: int = 0
    """Entries that did not fit into the queue, or that could not be written."""
    lost: int = 0
    """Entries in the queue of a worker that was killed."""
    waiting: int = 0
    """Entries in the queues of running workers."""


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """The entries of one process."""

    worker: str
    accepted: int
    written: int
    dropped: int


class PendingEntry(NamedTuple):
    """An entry to be written, as the columns of its row without the id."""

    columns: tuple[object, ...]
    """The values of `tables.ENTRY_COLUMNS`."""
    at_ms: int
    kids: tuple[bytes, ...]
    request: bytes | None
    reply: bytes | None
    texts: tuple[str, ...]
    """The texts by which it is found; a query's parts, since many entries have the same ones."""


def spell_outcome(status: int) -> str:
    """Return `ok` for 0, or a status code as faults spell it."""
    return f"0x{status:08x}" if status else OK


def parse_outcome(outcome: str) -> int:
    """Return the status code of `0x8004c601` or `8004c601`; raises InvalidMessage."""
    try:
        status = int(outcome, 16)
    except ValueError:
        status = 0
    if not 0 < status <= _MAX_STATUS:
        raise InvalidMessage(
            f"the outcome is {outcome[:32]!r}, expected ok, fault or a status code such as "
            "0x8004c601"
        )
    return status
