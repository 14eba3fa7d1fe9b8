"""`/journal`: recorded requests and acts, decoded and sent again."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flask import request
from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.refusals import NotFound
from rightsmanager.errors import InvalidMessage
from rightsmanager.journal.facts import entry_facts
from rightsmanager.journal.journal import PERCENTILES, Journal
from rightsmanager.journal.replay import Answer, refuse_inexact, replay
from rightsmanager.store.journal.entries import Entry, Filter, StoredEntry
from rightsmanager.store.paging import Page
from rightsmanager.web.api.decode import DescriptionModel
from rightsmanager.web.api.models import (
    AccountText,
    DeviceText,
    KidText,
    PageQuery,
    PageReply,
    Path,
    Query,
    Reply,
    Text,
    Time,
    TimeText,
)
from rightsmanager.web.api.parts import Describe, Repeat
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.cursors import cursor_of

JOURNAL: Final = Tag(name="journal", description="Recorded requests, and acts of operators.")
MAX_ENTRY_ID: Final = 2**53 - 1
"""The largest integer that every reader of JSON knows."""


class TimeRange(Query):
    """A time range."""

    since: TimeText | None = Field(None, description="At that time or later.")
    before: TimeText | None = Field(None, description="Before that time.")

    def milliseconds(self) -> tuple[int | None, int | None]:
        """Return both ends in Unix milliseconds."""
        ends = (None if end is None else end.timestamp() for end in (self.since, self.before))
        first, last = (None if end is None else int(1000 * end) for end in ends)
        return first, last


class JournalQuery(PageQuery, TimeRange):
    """The entries to list."""

    operation: Text | None = None
    outcome: Text | None = Field(
        None, description="`ok`, `fault`, or a status code such as `0x8004c601`."
    )
    device: DeviceText | None = None
    kid: KidText | None = None
    account: AccountText | None = None
    text: Text | None = Field(
        None,
        description="A part of the request id, refusal, query, CustomData, warnings, user agent, "
        "address, injected fault, operator or subject.",
    )
    kind: Literal["request", "act"] | None = None

    def filter(self) -> Filter:
        """Return the filter."""
        since_ms, until_ms = self.milliseconds()
        return Filter(
            operation=self.operation,
            outcome=self.outcome,
            device=self.device,
            kid=self.kid,
            account=self.account,
            text=self.text,
            kind=self.kind,
            since_ms=since_ms,
            until_ms=until_ms,
        )


class EntryPath(Path):
    """The path of an entry."""

    entry_id: int = Field(ge=1, le=MAX_ENTRY_ID)


class JournalEntryModel(Reply):
    """An entry without its bodies."""

    id: int
    kind: Literal["request", "act"]
    at: Time
    request_id: str
    operation: str = Field(
        description="Empty if the envelope names none; the protocol of a key request, such as"
        " `cpix`; the name of an act."
    )
    outcome: str = Field(description="`ok` or the status code.")
    failed: str | None = Field(description="The class of the refusal.")
    stage: str | None = Field(description="The stage that refused.")
    reason: str | None = Field(description="The text of the refusal.")
    device: str | None
    account: str | None
    kids: list[str]
    client: str
    url: str
    query: str = Field(description="Keys and tokens masked.")
    custom_data: str | None = Field(description="Keys and tokens masked.")
    user_agent: str
    soap_action: str
    content_type: str
    warnings: list[str]
    http_status: int
    ms: float
    stages_ms: dict[str, float]
    bytes_in: int
    bytes_out: int
    worker: str
    is_masked: bool
    is_request_cut: bool
    is_reply_cut: bool
    has_request: bool
    has_reply: bool
    actor: str | None
    subject: str | None
    injected: str | None = Field(description="Kind and id of each injected fault.")


class EntryPage(PageReply):
    """Entries, newest first."""

    entries: list[JournalEntryModel]


class StoredJournalEntryModel(JournalEntryModel):
    """An entry with its bodies, as they were sent and decoded."""

    request: str | None = Field(description="Base64; null if it is not stored.")
    reply: str | None = Field(description="Base64; null if it is not stored.")
    decoded_request: DescriptionModel | None = Field(description="Null if not recognised.")
    decoded_reply: DescriptionModel | None


class AnswerModel(Reply):
    """The outcome of a request."""

    outcome: str
    reason: str | None


class ReplayedModel(Reply):
    """The outcomes of a recorded request, and of the same one now."""

    is_alike: bool
    before: AnswerModel
    after: AnswerModel


class CountsModel(Reply):
    """Entries of all workers since the journal was made."""

    accepted: int
    written: int
    dropped: int = Field(description="They did not fit into the queue.")
    lost: int = Field(description="They were in the queue of a worker that was killed.")
    waiting: int


class MinuteModel(Reply):
    """The requests of a minute."""

    at_ms: int = Field(description="Unix milliseconds of its beginning.")
    requests: int
    faults: int


class LatencyModel(Reply):
    """The duration of the requests to one operation."""

    operation: str
    requests: int
    percentiles_ms: dict[str, float] = Field(description="Wrong by 3 % at most.")


class StatisticsModel(Reply):
    """The requests of the minutes of a time range."""

    is_complete: bool = Field(description="False if counts of the range's beginning are removed.")
    minutes: list[MinuteModel]
    outcomes: dict[str, int]
    latencies: list[LatencyModel]


class ClearedModel(Reply):
    """The number of removed entries."""

    removed: int


@dataclass(frozen=True, slots=True)
class JournalParts:
    """Everything that the operations on the journal call."""

    journal: Journal
    describe: Describe = field(repr=False)
    repeat: Repeat = field(repr=False)


def add_journal(routes: Routes, parts: JournalParts) -> None:
    """Add the operations on the journal."""
    journal = parts.journal
    entries, entry = "/journal/entries", "/journal/entries/<entry_id>"

    @routes.get(entries, "List recorded requests, newest first", EntryPage)
    def list_entries(query: JournalQuery) -> EntryPage:
        cut = query.cut()
        page = journal.find(query.filter(), cut.limit, read_before(cut.after))
        shown = [_model(each) for each in page.entries]
        after = None if page.next is None else (page.next,)
        return EntryPage(entries=shown, next=cursor_of(Page((), after)))

    @routes.delete(entries, "Remove all recorded requests", ClearedModel)
    def clear_journal() -> ClearedModel:
        return ClearedModel(removed=journal.clear())

    @routes.get(entry, "Show a recorded request, decoded", StoredJournalEntryModel, 404)
    def show_entry(path: EntryPath) -> StoredJournalEntryModel:
        stored = _find(journal, path.entry_id)
        return StoredJournalEntryModel(
            **_model(stored.entry).model_dump(),
            request=_base64(stored.request),
            reply=_base64(stored.reply),
            decoded_request=_decode(parts.describe, stored.request),
            decoded_reply=_decode(parts.describe, stored.reply),
        )

    @routes.post(f"{entry}/replay", "Send a recorded request again", ReplayedModel, 404)
    def replay_entry(path: EntryPath) -> ReplayedModel:
        stored = _find(journal, path.entry_id)
        refuse_inexact(stored)
        client = str(request.environ.get("REMOTE_ADDR", ""))
        replayed = replay(stored, parts.repeat(client))
        before, after = (_answer(each) for each in (replayed.before, replayed.after))
        return ReplayedModel(is_alike=replayed.is_alike, before=before, after=after)

    _add_numbers(routes, journal)


def _add_numbers(routes: Routes, journal: Journal) -> None:
    @routes.get("/journal/counts", "Count recorded, dropped and lost requests", CountsModel)
    def count_entries() -> CountsModel:
        return CountsModel.of(journal.accounting())

    @routes.get("/journal/statistics", "Count requests by minute and outcome", StatisticsModel)
    def show_statistics(query: TimeRange) -> StatisticsModel:
        since_ms, until_ms = query.milliseconds()
        found = journal.statistics(since_ms or 0, MAX_ENTRY_ID if until_ms is None else until_ms)
        return StatisticsModel(
            is_complete=found.is_complete,
            minutes=[MinuteModel.of(each) for each in found.minutes],
            outcomes=dict(found.outcomes),
            latencies=[
                LatencyModel(
                    operation=each.operation,
                    requests=each.requests,
                    percentiles_ms={
                        f"p{percent}": ms
                        for percent, ms in zip(PERCENTILES, each.percentiles_ms, strict=True)
                    },
                )
                for each in found.latencies
            ],
        )


def _find(journal: Journal, entry_id: int) -> StoredEntry:
    stored = journal.get(entry_id)
    if stored is None:
        raise NotFound(f"the journal has no entry {entry_id}: it may have been removed")
    return stored


def read_before(key: tuple[Any, ...] | None) -> int | None:
    """Return the id that a page comes before; raises InvalidMessage for the key of another list."""
    if key is None:
        return None
    if len(key) != 1 or type(key[0]) is not int or not 0 < key[0] <= MAX_ENTRY_ID:
        raise InvalidMessage("the key of a page is not one of this list")
    return key[0]


def _model(entry: Entry) -> JournalEntryModel:
    return JournalEntryModel(**entry_facts(entry))


def _base64(body: bytes) -> str | None:
    return b64encode(body).decode() if body else None


def _decode(describe: Describe, body: bytes) -> DescriptionModel | None:
    if not body:
        return None
    try:
        return DescriptionModel.of(describe(body))
    except InvalidMessage:
        return None


def _answer(answer: Answer) -> AnswerModel:
    return AnswerModel(outcome=answer.outcome, reason=answer.reason)
