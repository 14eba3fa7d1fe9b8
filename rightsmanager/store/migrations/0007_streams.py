"""Playback sessions, and the streams of licences with secure stop."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, String, text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables of sessions and streams."""
    op.create_table(
        "sessions",
        Column("device", String(44), primary_key=True),
        Column("session_id", LargeBinary(16), primary_key=True),
        Column("kid", LargeBinary(16), nullable=False),
        Column("mid", LargeBinary(16), nullable=False),
        Column("start_time", BigInteger, nullable=False),
        Column("update_time", BigInteger, nullable=False),
        Column("stopped", Boolean, nullable=False),
        Column("proven", Boolean, nullable=False),
        Column("reported_at", BigInteger, nullable=False),
        Column("changed_at", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sessions_changed_at", "sessions", ["changed_at"])
    op.create_table(
        "stream_holders",
        Column("holder", String(64), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "streams",
        Column("stream_id", LargeBinary(16), primary_key=True),
        Column("holder", String(64), nullable=False),
        Column("device", String(44), nullable=False),
        Column("kid", LargeBinary(16), nullable=False),
        Column("client_time", BigInteger, nullable=False),
        Column("opened_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("ended_at", BigInteger),
        Column("ended_by", String(16)),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_streams_expires_at", "streams", ["expires_at"])
    _index_open("uq_streams_open", "device", "kid", "holder", unique=True)
    _index_open("ix_streams_open_of_holder", "holder", "expires_at")


def _index_open(name: str, *columns: str, unique: bool = False) -> None:
    not_ended = text("ended_at IS NULL")
    op.create_index(
        name,
        "streams",
        list(columns),
        unique=unique,
        sqlite_where=not_ended,
        postgresql_where=not_ended,
    )
