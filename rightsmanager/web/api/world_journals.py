"""`/worlds/NAME/journal`: what a world was asked, waits for it, and assertions on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from rightsmanager.journal.facts import entry_facts
from rightsmanager.journal.journal import Journal
from rightsmanager.lab import watching
from rightsmanager.lab.watching import Bounds, Wanted
from rightsmanager.store.journal.entries import Filter
from rightsmanager.store.paging import Page
from rightsmanager.web.api.journal import (
    MAX_ENTRY_ID,
    EntryPage,
    JournalEntryModel,
    JournalQuery,
    read_before,
)
from rightsmanager.web.api.models import (
    AccountText,
    DeviceText,
    KidText,
    OptionalRequest,
    Reply,
    Text,
)
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.api.worlds import WorldPath, WorldsParts
from rightsmanager.web.cursors import cursor_of

MAX_WAIT_SECONDS: Final = 60.0
MAX_COUNT: Final = 1_000_000


def _since(value: object) -> int | datetime:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ENTRY_ID:
        return value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("expected the id of an entry, or a time such as 2031-01-01T00:00:00Z")
    return moment


Since = Annotated[
    int | datetime,
    PlainValidator(_since),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}]}),
    Field(description="After the entry with this id, or at this time of the world or later."),
]


class EntriesRequest(OptionalRequest):
    """The entries that are asked for; all of them by default."""

    operation: Text | None = None
    outcome: Text | None = Field(
        None, description="`ok`, `fault`, or a status code such as `0x8004c601`."
    )
    device: DeviceText | None = None
    kid: KidText | None = None
    account: AccountText | None = None
    text: Text | None = None
    since: Since | None = None

    def wanted(self) -> Wanted:
        """Return the entries."""
        after = self.since if isinstance(self.since, int) else 0
        since_ms = int(1000 * self.since.timestamp()) if isinstance(self.since, datetime) else None
        return Wanted(
            Filter(
                operation=self.operation,
                outcome=self.outcome,
                device=self.device,
                kid=self.kid,
                account=self.account,
                text=self.text,
                since_ms=since_ms,
            ),
            after,
        )


class WaitRequest(EntriesRequest):
    """A wait for entries."""

    count: int = Field(1, ge=1, le=MAX_COUNT, description="The number of entries to wait for.")
    timeout_seconds: float = Field(5.0, ge=0, le=MAX_WAIT_SECONDS)


class AssertRequest(EntriesRequest):
    """An expected number of entries."""

    count: int | None = Field(None, ge=0, le=MAX_COUNT, description="Exactly so many.")
    at_least: int | None = Field(None, ge=0, le=MAX_COUNT)
    at_most: int | None = Field(None, ge=0, le=MAX_COUNT)

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        bounds = (self.at_least, self.at_most)
        if (self.count is None) == (bounds == (None, None)):
            raise ValueError("expected count, or one or both of at_least and at_most")
        return self

    def bounds(self) -> Bounds:
        """Return the bounds of the number."""
        if self.count is not None:
            return Bounds(self.count, self.count)
        return Bounds(self.at_least, self.at_most)


class EntriesModel(Reply):
    """Entries, oldest first."""

    entries: list[JournalEntryModel]


class PassedModel(Reply):
    """An assertion that holds."""

    passed: bool
    count: int


def add_world_journals(routes: Routes, parts: WorldsParts) -> None:
    """Add the operations on the journals of worlds."""
    journal = "/worlds/<name>/journal"

    @routes.get(journal, "List the requests to a world, newest first", EntryPage, 404)
    def list_world_entries(path: WorldPath, query: JournalQuery) -> EntryPage:
        cut = query.cut()
        with _using(parts, path.name) as found:
            # The entry of a request that was answered is there.
            found.settle(watching.SETTLE_SECONDS)
            page = found.find(query.filter(), cut.limit, read_before(cut.after))
        shown = [_model(entry_facts(each)) for each in page.entries]
        after = None if page.next is None else (page.next,)
        return EntryPage(entries=shown, next=cursor_of(Page((), after)))

    @routes.post(f"{journal}/wait", "Wait for requests to a world", EntriesModel, 404, 409, 504)
    def wait_for_entries(path: WorldPath, body: WaitRequest) -> EntriesModel:
        found = watching.wait(
            lambda: _using(parts, path.name), body.wanted(), body.count, body.timeout_seconds
        )
        return EntriesModel(entries=[_model(entry_facts(each)) for each in found])

    @routes.post(f"{journal}/assert", "Count requests to a world", PassedModel, 404, 409)
    def assert_entries(path: WorldPath, body: AssertRequest) -> PassedModel:
        found = watching.count(lambda: _using(parts, path.name), body.wanted(), body.bounds())
        return PassedModel(passed=True, count=found)


@contextmanager
def _using(parts: WorldsParts, name: str) -> Iterator[Journal]:
    with parts.worlds.opened.using(name) as world:
        yield world.server.journal


def _model(facts: dict[str, Any]) -> JournalEntryModel:
    return JournalEntryModel(**facts)
