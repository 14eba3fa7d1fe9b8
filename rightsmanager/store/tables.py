"""The tables. Their keys and constraints make a repeated request count once.

A `device` column is the device id, base64 of the SHA-256 of the device's signing key. Times are in
Unix seconds by the server's clock unless a comment says otherwise.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from rightsmanager.protocol.wire import (
    AccountId,
    Guid,
    Kid,
    Mid,
    ServiceId,
    SessionId,
    TransactionId,
)

BATCH_ROWS: Final = 10_000
"""The most old rows that one statement removes."""


class Identifier(TypeDecorator[Guid]):
    """A column of 16 bytes whose values are identifiers of one type."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, identifier: type[Guid]) -> None:
        super().__init__(16)
        self.identifier = identifier

    def process_bind_param(self, value: Guid | None, dialect: Dialect) -> bytes | None:
        """Return the identifier's bytes, in the byte order of the wire."""
        del dialect
        return None if value is None else value.raw

    def process_result_value(self, value: Any, dialect: Dialect) -> Guid | None:  # noqa: ANN401 -- as its parent
        """Return the identifier of stored bytes."""
        del dialect
        return None if value is None else self.identifier(value)


METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

KEYRING: Final = Table(
    "keyring",
    METADATA,
    # "root" or "storage".
    Column("identity", String(16), primary_key=True),
    # As people compare it: "SHA256:" and base64.
    Column("fingerprint", String(64), nullable=False),
)
"""The fingerprints of the keyring that the database belongs to."""

# --- licences and content keys --------------------------------------------------------------------

LICENSES: Final = Table(
    "licenses",
    METADATA,
    # SHA-256 of device, challenge and granted licences: a repeat has the same.
    Column("request", LargeBinary(32), primary_key=True),
    # The rank of the licence among those of the request, whatever their order in the query.
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("device", String(44), nullable=False),
    Column("kid", Identifier(Kid), nullable=False),
    # XMR calls it the rights id.
    Column("license_id", LargeBinary(16), nullable=False),
    # The grant as JSON, without the content key.
    Column("policy", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    # Rows are stored in the primary key's own tree: half the pages to write for each licence.
    sqlite_with_rowid=False,
)
"""Every issued licence."""

ROOT_LICENSES: Final = Table(
    "root_licenses",
    METADATA,
    Column("device", String(44), primary_key=True),
    Column("kid", Identifier(Kid), primary_key=True),
    # As in content_keys. Kept here too, since the key may have come with the request alone.
    Column("ciphertext", LargeBinary(44), nullable=False),
    sqlite_with_rowid=False,
)
"""The last root licence of each device and KID, so that a leaf can be requested alone."""

CONTENT_KEYS: Final = Table(
    "content_keys",
    METADATA,
    Column("kid", Identifier(Kid), primary_key=True),
    # nonce(12), AES-256-GCM ciphertext(16), tag(16) under the keyring's storage key.
    Column("ciphertext", LargeBinary(44), nullable=False),
    # "aesctr" or "aescbc".
    Column("key_type", String(8), nullable=False),
    Column("added_at", BigInteger, nullable=False),
    # The kind of streams that it encrypts, in lower case; null for none.
    Column("track", String(64)),
)
"""Content keys that were added, imported or made for a packager."""

CONTENT_SOURCES: Final = Table(
    "content_sources",
    METADATA,
    Column("kid", Identifier(Kid), primary_key=True),
    # "operator", "packager" or "import".
    Column("origin", String(8), nullable=False),
    # SHA-256 of the program's name in UTF-8: some names are too long for an index.
    Column("program_digest", LargeBinary(32)),
    # The key period of the program, from 0.
    Column("period", BigInteger),
    Column("program", Text),
    # The protection scheme of ISO/IEC 23001-7 and the explicit IV, where an import had them.
    Column("scheme", String(4)),
    Column("iv", LargeBinary(16)),
    UniqueConstraint("program_digest", "period"),
    sqlite_with_rowid=False,
)
"""The origin of each content key, and the part of a program that it belongs to."""

NONCES: Final = Table(
    "nonces",
    METADATA,
    Column("device", String(44), primary_key=True),
    # The challenge's LicenseNonce.
    Column("nonce", LargeBinary(16), primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Index("ix_nonces_seen_at", "seen_at"),
    sqlite_with_rowid=False,
)
"""The challenges of each device that were answered; empty unless replays are refused."""

# --- revocation -----------------------------------------------------------------------------------

REVOCATION_LISTS: Final = Table(
    "revocation_lists",
    METADATA,
    Column("list_id", Identifier(Guid), primary_key=True),
    # Each change makes the next version.
    Column("version", BigInteger, nullable=False),
    # The signed list of this version, as replies carry it.
    Column("data", LargeBinary, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
"""The newest version of each revocation list."""

REVOCATIONS: Final = Table(
    "revocations",
    METADATA,
    # SHA-256 of the certificate's bytes up to its signature.
    Column("digest", LargeBinary(32), primary_key=True),
    Column("list_id", Identifier(Guid), primary_key=True),
    # The version of the list that added it.
    Column("version", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The certificates on each list."""

ALLOWED_CERTIFICATES: Final = Table(
    "allowed_certificates",
    METADATA,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The certificates that are served although a list has them."""

# --- acknowledgements -----------------------------------------------------------------------------

TRANSACTIONS: Final = Table(
    "transactions",
    METADATA,
    Column("transaction_id", Identifier(TransactionId), primary_key=True),
    Column("device", String(44), primary_key=True),
    # As in licenses. Several requests share an id where they name one.
    Column("request", LargeBinary(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""The replies that asked for an acknowledgement."""

ACKNOWLEDGEMENTS: Final = Table(
    "acknowledgements",
    METADATA,
    Column("transaction_id", Identifier(TransactionId), primary_key=True),
    Column("device", String(44), primary_key=True),
    Column("kid", Identifier(Kid), primary_key=True),
    # The HRESULT of storing the licence, 0 for stored.
    Column("result", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The results that clients acknowledged licences with."""

# --- domains --------------------------------------------------------------------------------------

DOMAIN_ACCOUNTS: Final = Table(
    "domain_accounts",
    METADATA,
    Column("account_id", Identifier(AccountId), primary_key=True),
    Column("service_id", Identifier(ServiceId), nullable=False),
    Column("friendly_name", Text, nullable=False),
    # Empty for the URL of the settings.
    Column("url", Text, nullable=False),
    # The most members at a time.
    Column("limit", Integer, nullable=False),
    # The count of members, so that one statement adds one where the limit allows it.
    Column("members", Integer, nullable=False),
    # The newest one.
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
)
"""Accounts, each with one domain."""

DOMAIN_REVISIONS: Final = Table(
    "domain_revisions",
    METADATA,
    Column("account_id", Identifier(AccountId), primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    # BCert chain of the domain's certificate.
    Column("chain", LargeBinary, nullable=False),
    # nonce(12), AES-256-GCM ciphertext(32) of the private key, tag(16) under the storage key.
    Column("ciphertext", LargeBinary(60), nullable=False),
    Column("made_at", BigInteger, nullable=False),
)
"""Certificate and private key of each revision of a domain."""

DOMAIN_MEMBERS: Final = Table(
    "domain_members",
    METADATA,
    Column("account_id", Identifier(AccountId), primary_key=True),
    Column("device", String(44), primary_key=True),
    # The name that the device gave itself.
    Column("name", Text, nullable=False),
    Column("joined_at", BigInteger, nullable=False),
    # The newest one that was sent to the device.
    Column("revision", BigInteger, nullable=False),
    # A former member has one of the two.
    Column("left_at", BigInteger),
    Column("removed_at", BigInteger),
    sqlite_with_rowid=False,
)
"""The devices that are or were members."""

DOMAIN_REQUESTS: Final = Table(
    "domain_requests",
    METADATA,
    # SHA-256 of the signed element: a repeat has the same.
    Column("request", LargeBinary(32), primary_key=True),
    Column("device", String(44), primary_key=True),
    Column("made_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The joins and leaves that were answered, so that none counts twice."""

# --- metering -------------------------------------------------------------------------------------

METERING_IDS: Final = Table(
    "metering_ids",
    METADATA,
    Column("mid", Identifier(Mid), primary_key=True),
    # The operator's name for it.
    Column("name", String(64), nullable=False),
    # BCert chain: the metering certificate and its issuer's.
    Column("chain", LargeBinary, nullable=False),
    # nonce(12), AES-256-GCM ciphertext(32) of the private key, tag(16) under the storage key.
    Column("ciphertext", LargeBinary(60), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Null while its certificate is issued.
    Column("retired_at", BigInteger),
    sqlite_with_rowid=False,
)
"""The metering ids in addition to the keyring's own."""

METERING_REPORTS: Final = Table(
    "metering_reports",
    METADATA,
    # Ascending, so that the usage of a new report is written at the end of its table.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("device", String(44), nullable=False),
    Column("mid", Identifier(Mid), nullable=False),
    Column("transaction_id", Identifier(TransactionId), nullable=False),
    # SHA-256 of the usage, independent of its order and encryption.
    Column("digest", LargeBinary(32), nullable=False),
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("device", "mid", "transaction_id"),
    Index("ix_metering_reports_mid_received_at", "mid", "received_at"),
)
"""Every counted report. A row outlives the report's usage, so that no repeat counts again."""

METERING_USAGE: Final = Table(
    "metering_usage",
    METADATA,
    Column("report", BigInteger, primary_key=True, autoincrement=False),
    Column("kid", Identifier(Kid), primary_key=True),
    Column("action", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The usage in each report, until it is purged."""

METERING_DEVICES: Final = Table(
    "metering_devices",
    METADATA,
    Column("mid", Identifier(Mid), primary_key=True),
    # As in the totals.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("device", String(44), primary_key=True),
    Column("action", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The actions of each device on each day, until they are purged."""

METERING_TOTALS: Final = Table(
    "metering_totals",
    METADATA,
    Column("mid", Identifier(Mid), primary_key=True),
    # Days since 1970-01-01, UTC, of the reports' arrival. It precedes the KID in the key, so that
    # the rows that change today are next to each other.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("kid", Identifier(Kid), primary_key=True),
    Column("action", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The sum of all reports. It is never purged."""

# --- playback sessions and streams ----------------------------------------------------------------

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("device", String(44), primary_key=True),
    # The device's own id: the session counts once, however often it is reported.
    Column("session_id", Identifier(SessionId), primary_key=True),
    Column("kid", Identifier(Kid), nullable=False),
    Column("mid", Identifier(Mid), nullable=False),
    # By the device's clock.
    Column("start_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    # Whether it ended cleanly.
    Column("stopped", Boolean, nullable=False),
    # Whether this state of it was proven by secure stop 2.
    Column("proven", Boolean, nullable=False),
    # The first report, and the last one with news.
    Column("reported_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_sessions_changed_at", "changed_at"),
    sqlite_with_rowid=False,
)
"""Every reported playback session in the state of its last report."""

STREAM_HOLDERS: Final = Table(
    "stream_holders",
    METADATA,
    # "account:" and the account id as GUID, or "device:" and the device id.
    Column("holder", String(64), primary_key=True),
    sqlite_with_rowid=False,
)
"""The accounts and devices whose streams are counted; a row is locked to open a stream."""

STREAMS: Final = Table(
    "streams",
    METADATA,
    # Derived from the licence's request and rank: a repeat has the same.
    Column("stream_id", Identifier(Guid), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("device", String(44), nullable=False),
    Column("kid", Identifier(Kid), nullable=False),
    # By the device's clock, when it requested the licence.
    Column("client_time", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    # The end of the licence: from then on the stream is not open.
    Column("expires_at", BigInteger, nullable=False),
    # Null unless something other than the time ended it.
    Column("ended_at", BigInteger),
    # "stop", "renewal" or "operator"; "expiry" where a new stream replaced it after its end.
    Column("ended_by", String(16)),
    Index("ix_streams_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""Every stream that a licence with secure stop opened."""

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
# A holder's open streams are counted without reading the ended ones.
Index(
    "ix_streams_open_of_holder",
    STREAMS.c.holder,
    STREAMS.c.expires_at,
    sqlite_where=_NOT_ENDED,
    postgresql_where=_NOT_ENDED,
)

# --- persistent licences and their deletion -------------------------------------------------------

LEDGER: Final = Table(
    "ledger",
    METADATA,
    # Both as in licenses.
    Column("request", LargeBinary(32), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("device", String(44), nullable=False),
    Column("kid", Identifier(Kid), nullable=False),
    Column("license_id", LargeBinary(16), nullable=False),
    # Null where the reply asked for no acknowledgement.
    Column("transaction_id", Identifier(TransactionId)),
    Column("issued_at", BigInteger, nullable=False),
    # The end of the licence, null for never.
    Column("expires_at", BigInteger),
    # Null until the device reports that it deleted the licence.
    Column("deleted_at", BigInteger),
    Index("ix_ledger_device_kid", "device", "kid"),
    sqlite_with_rowid=False,
)
"""Every issued persistent licence."""

DELETIONS: Final = Table(
    "deletions",
    METADATA,
    Column("device", String(44), primary_key=True),
    # The device's own id of the deletion, which counts once.
    Column("session_id", Identifier(SessionId), primary_key=True),
    # SHA-256 of the KIDs in ascending order: a repeat has the same.
    Column("kids", LargeBinary(32), nullable=False),
    Column("deleted_at", BigInteger, nullable=False),
    Index("ix_deletions_deleted_at", "deleted_at"),
    sqlite_with_rowid=False,
)
"""Every report of deleted licences."""

DELETED_KIDS: Final = Table(
    "deleted_kids",
    METADATA,
    Column("device", String(44), primary_key=True),
    Column("session_id", Identifier(SessionId), primary_key=True),
    Column("kid", Identifier(Kid), primary_key=True),
    # Whether a persistent licence for it was ever issued to the device.
    Column("issued", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""The KIDs of each deletion."""

# --- operators ------------------------------------------------------------------------------------

API_TOKENS: Final = Table(
    "api_tokens",
    METADATA,
    # The first 8 bytes of the digest in hexadecimal digits.
    Column("token_id", String(16), primary_key=True),
    # SHA-256 of the token.
    Column("digest", LargeBinary(32), nullable=False),
    Column("name", String(64), nullable=False),
    # "read" or "operate".
    Column("role", String(8), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Null for a token that does not expire.
    Column("expires_at", BigInteger),
    # Recorded at most once an hour, null until the first use.
    Column("used_at", BigInteger),
    Column("revoked_at", BigInteger),
    sqlite_with_rowid=False,
)
"""The bearer tokens of operators, revoked and expired ones included."""
