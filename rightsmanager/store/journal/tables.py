"""The journal's tables, apart from those that licences need.

    journal_entries   one row a request or act, without its bodies, so that lists read little
    journal_bodies    the request and the reply of an entry, as they were sent
    journal_kids      the KIDs of an entry, to find entries by KID
    journal_blocks    BLOCK_ENTRIES successive entries: their times, bytes and searchable text
    journal_minutes   the number of requests by minute, operation, outcome and duration
    journal_workers   counts of each process that wrote
    journal_state     the last id

Ids are successive and in the order of commits, so that a reader that has seen an id misses none
below it. Writers take their ids by changing the one row of journal_state, and thereby wait for each
other.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

BLOCK_ENTRIES: Final = 256

JOURNAL: Final = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

_Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite stores rows by a primary key that is declared INTEGER."""

ENTRIES: Final = Table(
    "journal_entries",
    JOURNAL,
    Column("id", _Id, primary_key=True, autoincrement=False),
    # 0 a request, 1 an act of an operator.
    Column("kind", SmallInteger, nullable=False),
    # Unix milliseconds.
    Column("at", BigInteger, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("operation", Text, nullable=False),
    # 0, or the status code of the refusal.
    Column("outcome", BigInteger, nullable=False),
    # The class of the refusal.
    Column("failed", Text),
    # The stage that refused.
    Column("stage", Text),
    Column("reason", Text),
    Column("device", Text),
    # A GUID as text.
    Column("account", Text),
    # 16 bytes each.
    Column("kids", LargeBinary, nullable=False),
    Column("client", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("custom_data", Text),
    Column("user_agent", Text, nullable=False),
    Column("soap_action", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    # One a line.
    Column("warnings", Text, nullable=False),
    Column("http_status", SmallInteger, nullable=False),
    # Microseconds of each stage, with commas.
    Column("stages", Text, nullable=False),
    Column("bytes_in", Integer, nullable=False),
    Column("bytes_out", Integer, nullable=False),
    # Process id, a hyphen and random digits.
    Column("worker", Text, nullable=False),
    # The sum of entries.Flag.
    Column("flags", SmallInteger, nullable=False),
    Column("actor", Text),
    # The object of an act; the faults that were injected into a request.
    Column("subject", Text),
)
"""Requests and acts."""
ENTRY_COLUMNS: Final = tuple(column.name for column in ENTRIES.columns)[1:]
"""The columns of an entry before it has an id."""

Index("ix_journal_entries_operation", ENTRIES.c.operation, ENTRIES.c.id)
Index("ix_journal_entries_outcome", ENTRIES.c.outcome, ENTRIES.c.id)
Index(
    "ix_journal_entries_fault",
    ENTRIES.c.id,
    sqlite_where=text("outcome <> 0"),
    postgresql_where=text("outcome <> 0"),
)
Index(
    "ix_journal_entries_act",
    ENTRIES.c.id,
    sqlite_where=text("kind <> 0"),
    postgresql_where=text("kind <> 0"),
)
Index(
    "ix_journal_entries_device",
    ENTRIES.c.device,
    ENTRIES.c.id,
    sqlite_where=text("device IS NOT NULL"),
    postgresql_where=text("device IS NOT NULL"),
)
Index(
    "ix_journal_entries_account",
    ENTRIES.c.account,
    ENTRIES.c.id,
    sqlite_where=text("account IS NOT NULL"),
    postgresql_where=text("account IS NOT NULL"),
)

BODIES: Final = Table(
    "journal_bodies",
    JOURNAL,
    Column("entry_id", _Id, primary_key=True, autoincrement=False),
    Column("request", LargeBinary),
    Column("reply", LargeBinary),
)
"""The bodies of entries that have any."""

KIDS: Final = Table(
    "journal_kids",
    JOURNAL,
    Column("kid", LargeBinary(16), primary_key=True),
    Column("entry_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""The KIDs of entries."""

BLOCKS: Final = Table(
    "journal_blocks",
    JOURNAL,
    # An entry's id divided by BLOCK_ENTRIES.
    Column("block", _Id, primary_key=True, autoincrement=False),
    Column("min_at", BigInteger, nullable=False),
    Column("max_at", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    # In lower case. The last column, so that the others are read without it.
    Column("texts", Text, nullable=False),
)
"""Summaries by which a search passes over most of the journal."""

MINUTES: Final = Table(
    "journal_minutes",
    JOURNAL,
    # Unix time divided by 60 seconds.
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("operation", Text, primary_key=True),
    Column("outcome", BigInteger, primary_key=True, autoincrement=False),
    # Microseconds, rounded: see `minutes`.
    Column("duration", BigInteger, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Counts for statistics."""

WORKERS: Final = Table(
    "journal_workers",
    JOURNAL,
    Column("worker", Text, primary_key=True),
    Column("accepted", BigInteger, nullable=False),
    Column("written", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Counts of entries, by the process that recorded them."""

STATE: Final = Table(
    "journal_state",
    JOURNAL,
    Column("one", SmallInteger, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
)
"""One row."""
