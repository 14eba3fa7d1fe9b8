"""The tables, whose constraints are what makes a repeated request count once."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

BATCH_ROWS: Final = 10_000
"""The most old rows that one statement removes."""

LICENSES: Final = Table(
    "licenses",
    METADATA,
    # SHA-256 of what was asked, and by whom: a request that is sent again has the same.
    Column("request", LargeBinary(32), primary_key=True),
    # Which licence of the reply it is, from 0.
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    # Base64 of the SHA-256 of the device's signing key.
    Column("device", String(44), nullable=False),
    Column("kid", LargeBinary(16), nullable=False),
    # The licence's rights id.
    Column("license_id", LargeBinary(16), nullable=False),
    # The grant as JSON, without the content key.
    Column("policy", Text, nullable=False),
    # Unix seconds.
    Column("issued_at", BigInteger, nullable=False),
    # The row lies in the key's own tree: half the pages to write for each licence.
    sqlite_with_rowid=False,
)
"""Each licence that was issued."""

ROOT_LICENSES: Final = Table(
    "root_licenses",
    METADATA,
    Column("device", String(44), primary_key=True),
    Column("kid", LargeBinary(16), primary_key=True),
    # As in content_keys: the request may have given a key that nothing else knows.
    Column("ciphertext", LargeBinary(44), nullable=False),
    sqlite_with_rowid=False,
)
"""The last root licence of each device and KID, so that a leaf may be asked for alone."""

CONTENT_KEYS: Final = Table(
    "content_keys",
    METADATA,
    Column("kid", LargeBinary(16), primary_key=True),
    # nonce(12), AES-256-GCM ciphertext(16), tag(16) under the keyring's storage key.
    Column("ciphertext", LargeBinary(44), nullable=False),
    # "aesctr" or "aescbc".
    Column("key_type", String(8), nullable=False),
    # Unix seconds.
    Column("added_at", BigInteger, nullable=False),
)
"""Content keys that were added or made here; where each came from is beside it."""

CONTENT_SOURCES: Final = Table(
    "content_sources",
    METADATA,
    Column("kid", LargeBinary(16), primary_key=True),
    # "operator", "packager" or "import".
    Column("origin", String(8), nullable=False),
    # SHA-256 of the program in UTF-8, since an index cannot hold every program; or nothing.
    Column("program_digest", LargeBinary(32)),
    # The key period of the program, from 0; or nothing.
    Column("period", BigInteger),
    Column("program", Text),
    # The protection scheme of ISO/IEC 23001-7 and the explicit IV that an import had; or nothing.
    Column("scheme", String(4)),
    Column("iv", LargeBinary(16)),
    UniqueConstraint("program_digest", "period"),
    sqlite_with_rowid=False,
)
"""Where each content key came from, and for which part of which program it is."""

REVOCATION_LISTS: Final = Table(
    "revocation_lists",
    METADATA,
    Column("list_id", LargeBinary(16), primary_key=True),
    # Each change makes the next version.
    Column("version", BigInteger, nullable=False),
    # The list of this version, signed, as replies carry it.
    Column("data", LargeBinary, nullable=False),
    # Unix seconds.
    Column("changed_at", BigInteger, nullable=False),
)
"""The newest version of each revocation list."""

REVOCATIONS: Final = Table(
    "revocations",
    METADATA,
    # SHA-256 of the certificate's bytes up to its signature.
    Column("digest", LargeBinary(32), primary_key=True),
    Column("list_id", LargeBinary(16), primary_key=True),
    # The version of the list that it came with.
    Column("version", BigInteger, nullable=False),
    # Unix seconds.
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The certificates on each list."""

ALLOWED_CERTIFICATES: Final = Table(
    "allowed_certificates",
    METADATA,
    Column("digest", LargeBinary(32), primary_key=True),
    # Unix seconds.
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The certificates that are served whatever list they are on."""

TRANSACTIONS: Final = Table(
    "transactions",
    METADATA,
    Column("transaction_id", LargeBinary(16), primary_key=True),
    # Base64 of the SHA-256 of the device's signing key.
    Column("device", String(44), primary_key=True),
    # Whose licences belong to it: see the licences. Several, where a request names the id.
    Column("request", LargeBinary(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""The replies that asked for an acknowledgement."""

ACKNOWLEDGEMENTS: Final = Table(
    "acknowledgements",
    METADATA,
    Column("transaction_id", LargeBinary(16), primary_key=True),
    Column("device", String(44), primary_key=True),
    Column("kid", LargeBinary(16), primary_key=True),
    # What became of the licence at the client: an HRESULT, 0 for stored.
    Column("result", BigInteger, nullable=False),
    # Unix seconds.
    Column("acknowledged_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What clients said of the licences of a transaction."""

DOMAIN_ACCOUNTS: Final = Table(
    "domain_accounts",
    METADATA,
    Column("account_id", LargeBinary(16), primary_key=True),
    Column("service_id", LargeBinary(16), nullable=False),
    Column("friendly_name", Text, nullable=False),
    # Empty: as the settings say.
    Column("url", Text, nullable=False),
    Column("member_limit", Integer, nullable=False),
    # How many there are: one statement adds one where the limit allows it.
    Column("members", Integer, nullable=False),
    # The newest one.
    Column("revision", BigInteger, nullable=False),
    # Unix seconds.
    Column("created_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
)
"""The accounts, each of which has one domain."""

DOMAIN_REVISIONS: Final = Table(
    "domain_revisions",
    METADATA,
    Column("account_id", LargeBinary(16), primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    # BCert chain of the domain's certificate.
    Column("chain", LargeBinary, nullable=False),
    # nonce(12), AES-256-GCM ciphertext(32) of the private key, tag(16) under the storage key.
    Column("ciphertext", LargeBinary(60), nullable=False),
    # Unix seconds.
    Column("made_at", BigInteger, nullable=False),
)
"""Certificate and private key of each revision of a domain."""

DOMAIN_MEMBERS: Final = Table(
    "domain_members",
    METADATA,
    Column("account_id", LargeBinary(16), primary_key=True),
    # Base64 of the SHA-256 of the device's signing key.
    Column("device", String(44), primary_key=True),
    # What the device calls itself.
    Column("name", Text, nullable=False),
    # Unix seconds.
    Column("joined_at", BigInteger, nullable=False),
    # The newest one that the device was given.
    Column("revision", BigInteger, nullable=False),
    # Unix seconds; of a device that is no member any more one of the two is set.
    Column("left_at", BigInteger),
    Column("removed_at", BigInteger),
    sqlite_with_rowid=False,
)
"""The devices that are or were members."""

DOMAIN_REQUESTS: Final = Table(
    "domain_requests",
    METADATA,
    # SHA-256 of what was signed: a request that is sent again has the same.
    Column("request", LargeBinary(32), primary_key=True),
    Column("device", String(44), primary_key=True),
    # Unix seconds.
    Column("made_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The joins and leaves that were answered, so that none counts twice."""

METERING_IDS: Final = Table(
    "metering_ids",
    METADATA,
    Column("mid", LargeBinary(16), primary_key=True),
    # What the operator calls it.
    Column("name", String(64), nullable=False),
    # BCert chain: the metering certificate under its issuer.
    Column("chain", LargeBinary, nullable=False),
    # nonce(12), AES-256-GCM ciphertext(32) of the private key, tag(16) under the keyring's storage
    # key.
    Column("ciphertext", LargeBinary(60), nullable=False),
    # Unix seconds.
    Column("created_at", BigInteger, nullable=False),
    # Unix seconds; null while its certificate is given out.
    Column("retired_at", BigInteger),
    sqlite_with_rowid=False,
)
"""The metering services beside the keyring's own."""

METERING_REPORTS: Final = Table(
    "metering_reports",
    METADATA,
    # Counts up, so that what belongs to it is written where the last was.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    # Base64 of the SHA-256 of the device's signing key.
    Column("device", String(44), nullable=False),
    Column("mid", LargeBinary(16), nullable=False),
    Column("transaction_id", LargeBinary(16), nullable=False),
    # SHA-256 of what it says, in whatever order and encryption.
    Column("digest", LargeBinary(32), nullable=False),
    # Unix seconds.
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("device", "mid", "transaction_id"),
    Index("ix_metering_reports_mid_received_at", "mid", "received_at"),
)
"""Each report that was counted. It outlives what it said, so that no repeat counts again."""

METERING_USAGE: Final = Table(
    "metering_usage",
    METADATA,
    Column("report", BigInteger, primary_key=True, autoincrement=False),
    Column("kid", LargeBinary(16), primary_key=True),
    Column("action", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What the reports said, for as long as they are kept."""

METERING_DEVICES: Final = Table(
    "metering_devices",
    METADATA,
    Column("mid", LargeBinary(16), primary_key=True),
    # As in the totals.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("device", String(44), primary_key=True),
    Column("action", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What each device did each day, for as long as reports are kept."""

METERING_TOTALS: Final = Table(
    "metering_totals",
    METADATA,
    Column("mid", LargeBinary(16), primary_key=True),
    # Days since 1970-01-01, UTC, of the reports' arrival. Before the KID: what is counted today
    # lies together.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("kid", LargeBinary(16), primary_key=True),
    Column("action", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What all reports add up to; it stays for good."""
