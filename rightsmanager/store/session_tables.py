"""Tables of playback sessions and of the streams that licences with secure stop open."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, String, Table

from rightsmanager.store.tables import METADATA

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    # Base64 of the SHA-256 of the device's signing key.
    Column("device", String(44), primary_key=True),
    # What the device calls the session: it counts once, however often it is reported.
    Column("session_id", LargeBinary(16), primary_key=True),
    Column("kid", LargeBinary(16), nullable=False),
    Column("mid", LargeBinary(16), nullable=False),
    # Unix seconds by the device's clock.
    Column("start_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    # Whether it ended cleanly.
    Column("stopped", Boolean, nullable=False),
    # Whether what stands here was proven by secure stop 2.
    Column("proven", Boolean, nullable=False),
    # Unix seconds: the first report, and the last that said something new.
    Column("reported_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_sessions_changed_at", "changed_at"),
    sqlite_with_rowid=False,
)
"""Each playback session that was reported, as its last report says."""

STREAM_HOLDERS: Final = Table(
    "stream_holders",
    METADATA,
    # "account:" and the account id as GUID, or "device:" and the device.
    Column("holder", String(64), primary_key=True),
    sqlite_with_rowid=False,
)
"""Whose streams are counted; who opens one locks the row first."""

STREAMS: Final = Table(
    "streams",
    METADATA,
    # Of the request and the place of the licence in its reply: a repeat has the same.
    Column("stream_id", LargeBinary(16), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("device", String(44), nullable=False),
    Column("kid", LargeBinary(16), nullable=False),
    # Unix seconds by the device's clock, when it asked for the licence.
    Column("client_time", BigInteger, nullable=False),
    # Unix seconds.
    Column("opened_at", BigInteger, nullable=False),
    # When its licence ends; from then on the stream is not open.
    Column("expires_at", BigInteger, nullable=False),
    # Empty as long as nothing but time has ended it.
    Column("ended_at", BigInteger),
    # "stop", "renewal" or "operator"; "expiry" where a new stream took its place after that.
    Column("ended_by", String(16)),
    Index("ix_streams_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""Each stream that a licence with secure stop opened."""

_NOT_ENDED: Final = STREAMS.c.ended_at.is_(None)

Index(
    "uq_streams_open",
    STREAMS.c.device,
    STREAMS.c.kid,
    STREAMS.c.holder,
    unique=True,
    sqlite_where=_NOT_ENDED,
    postgresql_where=_NOT_ENDED,
)
# A holder's open streams are counted without a look at those that ended.
Index(
    "ix_streams_open_of_holder",
    STREAMS.c.holder,
    STREAMS.c.expires_at,
    sqlite_where=_NOT_ENDED,
    postgresql_where=_NOT_ENDED,
)
