"""Finds entries, newest first.

Each filter has an index, but for two. Times and texts are looked up in the blocks, of which there
are 4,000 for a million entries: their times bound the ids to look at, and a text that no entry of a
block has is not in the block's texts.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Text,
    and_,
    func,
    literal_column,
    select,
    text,
    type_coerce,
)

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.journal.entries import (
    FAULT,
    KINDS,
    OK,
    PART,
    REQUEST,
    Entry,
    EntryPage,
    Filter,
    Flag,
    StoredEntry,
    WorkerCounts,
    parse_outcome,
    split_kids,
)
from rightsmanager.store.journal.tables import (
    BLOCK_ENTRIES,
    BLOCKS,
    BODIES,
    ENTRIES,
    KIDS,
    STATE,
    WORKERS,
)

STAGES: Final = ("read", "verify", "decide", "record", "seal")
"""As in hooks.exchange."""
_EXPORTED: Final = 64
"""Entries whose bodies an export reads at once."""
_FETCHED_BLOCKS: Final = 16
"""Blocks that a search reads at once, at first."""
_GROWTH: Final = 4
"""The ratio of the blocks that it reads next to those that it read before."""
_NOT_OK: Final = text("journal_entries.outcome <> 0")
_AN_ACT: Final = text("journal_entries.kind <> 0")


def find_page(connection: Connection, wanted: Filter, limit: int, before: int | None) -> EntryPage:
    """Return the newest entries that a filter lets through; raises InvalidMessage."""
    bounds = _find_bounds(connection, wanted, before)
    if bounds is None:
        return EntryPage((), None)
    if wanted.text:
        entries = list(_search(connection, wanted, bounds, limit + 1))
    else:
        statement = _select(connection, wanted, bounds).limit(limit + 1)
        entries = [to_entry(row) for row in connection.execute(statement)]
    more = len(entries) > limit
    return EntryPage(tuple(entries[:limit]), entries[limit - 1].id if more else None)


def find_newer(connection: Connection, after: int, limit: int) -> tuple[Entry, ...]:
    """Return the entries after an id, oldest first."""
    statement = select(ENTRIES).where(ENTRIES.c.id > after).order_by(ENTRIES.c.id).limit(limit)
    return tuple(to_entry(row) for row in connection.execute(statement))


def find_newest_id(connection: Connection) -> int:
    """Return the last id that was given, 0 if there was none."""
    return connection.execute(select(STATE.c.last_id)).scalar() or 0


def find_entry(connection: Connection, entry_id: int) -> StoredEntry | None:
    """Return an entry and its bodies."""
    row = connection.execute(select(ENTRIES).where(ENTRIES.c.id == entry_id)).first()
    if row is None:
        return None
    bodies = connection.execute(
        select(BODIES.c.request, BODIES.c.reply).where(BODIES.c.entry_id == entry_id)
    ).first()
    request, reply = bodies or (None, None)
    return StoredEntry(to_entry(row), bytes(request or b""), bytes(reply or b""))


def find_stored(connection: Connection, wanted: Filter) -> Iterator[StoredEntry]:
    """Yield the entries that a filter lets through with their bodies, newest first."""
    before: int | None = None
    while True:
        page = find_page(connection, wanted, _EXPORTED, before)
        if page.entries:
            first, last = page.entries[-1].id, page.entries[0].id
            rows = connection.execute(select(BODIES).where(BODIES.c.entry_id.between(first, last)))
            bodies = {row.entry_id: (row.request, row.reply) for row in rows}
            for entry in page.entries:
                request, reply = bodies.get(entry.id, (None, None))
                yield StoredEntry(entry, bytes(request or b""), bytes(reply or b""))
        if page.next is None:
            return
        before = page.next


def find_counts(connection: Connection) -> tuple[WorkerCounts, ...]:
    """Return the stored counts of all workers."""
    rows = connection.execute(
        select(WORKERS.c.worker, WORKERS.c.accepted, WORKERS.c.written, WORKERS.c.dropped)
    )
    return tuple(WorkerCounts(*row) for row in rows)


def to_entry(row: Row[Any]) -> Entry:
    """Return the entry of a row of journal_entries."""
    stages = [int(each) / 1000 for each in row.stages.split(",") if each]
    return Entry(
        id=row.id,
        kind=KINDS[row.kind],
        at_ms=row.at,
        request_id=row.request_id,
        operation=row.operation,
        status=row.outcome,
        failed=row.failed,
        stage=row.stage,
        reason=row.reason,
        device=row.device,
        account=row.account,
        kids=tuple(map(Kid, split_kids(bytes(row.kids)))),
        client=row.client,
        url=row.url,
        query=row.query,
        custom_data=row.custom_data,
        user_agent=row.user_agent,
        soap_action=row.soap_action,
        content_type=row.content_type,
        warnings=tuple(row.warnings.split("\n")) if row.warnings else (),
        http_status=row.http_status,
        stages_ms=dict(zip(STAGES, stages, strict=False)),
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        worker=row.worker,
        flags=Flag(row.flags),
        actor=row.actor,
        subject=row.subject if row.kind else None,
        injected=None if row.kind else row.subject,
    )


def searched_texts(entry: Entry) -> tuple[str, ...]:
    """Return the texts by which an entry is found."""
    decoded = unquote(entry.query)
    return (
        entry.request_id,
        entry.operation,
        entry.reason or "",
        entry.query,
        decoded if decoded != entry.query else "",
        entry.custom_data or "",
        *entry.warnings,
        entry.user_agent,
        entry.client,
        entry.actor or "",
        entry.subject or entry.injected or "",
    )


def matches(wanted: Filter, entry: Entry) -> bool:
    """Return whether a filter lets an entry through."""
    status = _status(wanted.outcome)
    return (
        wanted.operation in (None, entry.operation)
        and status in (None, entry.status)
        and (wanted.outcome != FAULT or bool(entry.status))
        and wanted.device in (None, entry.device)
        and (wanted.kid is None or wanted.kid in entry.kids)
        and (wanted.account is None or wanted.account.text == entry.account)
        and wanted.kind in (None, entry.kind)
        and (wanted.since_ms is None or entry.at_ms >= wanted.since_ms)
        and (wanted.until_ms is None or entry.at_ms < wanted.until_ms)
        and (wanted.text is None or _has_text(entry, wanted.text.lower()))
    )


def _has_text(entry: Entry, needle: str) -> bool:
    return any(needle in each.lower() for each in searched_texts(entry))


# --- filters --------------------------------------------------------------------------------------


def _find_bounds(
    connection: Connection, wanted: Filter, before: int | None
) -> tuple[int, int] | None:
    """Return the first and the last id to look at, None if there are no such entries."""
    first, last = 0, find_newest_id(connection)
    if before is not None:
        last = min(last, before - 1)
    if wanted.since_ms is not None or wanted.until_ms is not None:
        found = connection.execute(_select_blocks(wanted)).one()
        if found[0] is None:
            return None
        first = found[0] * BLOCK_ENTRIES
        last = min(last, (found[1] + 1) * BLOCK_ENTRIES - 1)
    return (first, last) if first <= last else None


def _select_blocks(wanted: Filter) -> Select[Any]:
    statement = select(func.min(BLOCKS.c.block), func.max(BLOCKS.c.block))
    if wanted.since_ms is not None:
        statement = statement.where(BLOCKS.c.max_at >= wanted.since_ms)
    if wanted.until_ms is not None:
        statement = statement.where(BLOCKS.c.min_at < wanted.until_ms)
    return statement


def _select(connection: Connection, wanted: Filter, bounds: tuple[int, int]) -> Select[Any]:
    statement = select(ENTRIES)
    order: ColumnElement[Any] = ENTRIES.c.id
    if wanted.kid is not None:
        statement = statement.join(KIDS, KIDS.c.entry_id == ENTRIES.c.id).where(
            KIDS.c.kid == wanted.kid.raw
        )
        order = KIDS.c.entry_id
    statement = statement.where(order >= bounds[0], order <= bounds[1])
    is_sqlite = connection.dialect.name == "sqlite"
    statement = statement.where(*_conditions(wanted, is_sqlite=is_sqlite))
    return statement.order_by(order.desc())


def _conditions(wanted: Filter, *, is_sqlite: bool) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions; on SQLite, only the most selective one may use its index."""
    has_index = wanted.kid is None
    for column, value in (
        (ENTRIES.c.device, wanted.device),
        (ENTRIES.c.account, wanted.account and wanted.account.text),
        (ENTRIES.c.outcome, _status(wanted.outcome)),
        (ENTRIES.c.operation, wanted.operation),
    ):
        if value is not None:
            yield _column(column, is_hidden=is_sqlite and not has_index) == value
            has_index = False
    if wanted.outcome == FAULT:
        yield and_(_NOT_OK) if has_index or not is_sqlite else _hidden(ENTRIES.c.outcome) != 0
        has_index = False
    if wanted.kind == "act":
        yield and_(_AN_ACT) if has_index or not is_sqlite else _hidden(ENTRIES.c.kind) != 0
    elif wanted.kind == "request":
        yield ENTRIES.c.kind == REQUEST
    if wanted.since_ms is not None:
        yield ENTRIES.c.at >= wanted.since_ms
    if wanted.until_ms is not None:
        yield ENTRIES.c.at < wanted.until_ms


def _status(outcome: str | None) -> int | None:
    if outcome in (None, FAULT):
        return None
    return 0 if outcome == OK else parse_outcome(str(outcome))


def _column(column: ColumnElement[Any], *, is_hidden: bool) -> ColumnElement[Any]:
    return _hidden(column) if is_hidden else column


def _hidden(column: Any) -> ColumnElement[Any]:  # noqa: ANN401 -- a column
    """Return a column whose index SQLite does not use."""
    kind = Text if isinstance(column.type, Text) else Integer
    return type_coerce(literal_column(f"+journal_entries.{column.name}"), kind)


# --- texts ----------------------------------------------------------------------------------------


def _search(
    connection: Connection, wanted: Filter, bounds: tuple[int, int], limit: int
) -> Iterator[Entry]:
    """Yield the newest entries that have a text."""
    needle = (wanted.text or "").lower()
    for block in _find_blocks(connection, needle, bounds):
        first = max(bounds[0], block * BLOCK_ENTRIES)
        last = min(bounds[1], (block + 1) * BLOCK_ENTRIES - 1)
        for row in connection.execute(_select(connection, wanted, (first, last))):
            entry = to_entry(row)
            if _has_text(entry, needle):
                yield entry
                limit -= 1
                if not limit:
                    return


def _find_blocks(connection: Connection, needle: str, bounds: tuple[int, int]) -> Iterator[int]:
    """Yield the blocks whose entries may have a text, newest first."""
    first, last = (each // BLOCK_ENTRIES for each in bounds)
    # Queries are in the blocks' texts in parts.
    part = max(needle.split(PART), key=len)
    newest_first = BLOCKS.c.block.desc()
    if connection.dialect.name == "sqlite":
        # Python's own search takes half the time of SQLite's instr().
        rows = connection.execute(
            select(BLOCKS.c.block, BLOCKS.c.texts)
            .where(BLOCKS.c.block.between(first, last))
            .order_by(newest_first)
        )
        yield from (block for block, texts in rows.yield_per(_FETCHED_BLOCKS) if part in texts)
        return
    # Not one statement with a LIMIT: PostgreSQL does not know how slow strpos() is, and may search
    # all blocks to sort those that it finds.
    count = _FETCHED_BLOCKS
    while first <= last:
        found = connection.execute(
            select(BLOCKS.c.block)
            .where(
                BLOCKS.c.block.between(max(first, last - count + 1), last),
                func.strpos(BLOCKS.c.texts, part) > 0,
            )
            .order_by(newest_first)
        )
        yield from found.scalars().all()
        last -= count
        count *= _GROWTH
