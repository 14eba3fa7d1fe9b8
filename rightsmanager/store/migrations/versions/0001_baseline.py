"""Every table of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001_baseline"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _create_licenses()
    _create_revocations()
    _create_acknowledgements()
    _create_domains()
    _create_metering()
    _create_sessions()
    _create_ledger()
    _create_keyring()


def _create_licenses() -> None:
    op.create_table(
        "licenses",
        sa.Column("request", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("license_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request", "ordinal", name=op.f("pk_licenses")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "root_licenses",
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(length=44), nullable=False),
        sa.PrimaryKeyConstraint("device", "kid", name=op.f("pk_root_licenses")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "content_keys",
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(length=44), nullable=False),
        sa.Column("key_type", sa.String(length=8), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_content_keys")),
    )
    op.create_table(
        "content_sources",
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("program_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("period", sa.BigInteger(), nullable=True),
        sa.Column("program", sa.Text(), nullable=True),
        sa.Column("scheme", sa.String(length=4), nullable=True),
        sa.Column("iv", sa.LargeBinary(length=16), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_content_sources")),
        sa.UniqueConstraint(
            "program_digest", "period", name=op.f("uq_content_sources_program_digest_period")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "nonces",
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=16), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "nonce", name=op.f("pk_nonces")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_nonces_seen_at", "nonces", ["seen_at"], unique=False)


def _create_revocations() -> None:
    op.create_table(
        "revocation_lists",
        sa.Column("list_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_revocation_lists")),
    )
    op.create_table(
        "revocations",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("list_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "list_id", name=op.f("pk_revocations")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "allowed_certificates",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_allowed_certificates")),
        sqlite_with_rowid=False,
    )


def _create_acknowledgements() -> None:
    op.create_table(
        "transactions",
        sa.Column("transaction_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("request", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint(
            "transaction_id", "device", "request", name=op.f("pk_transactions")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "acknowledgements",
        sa.Column("transaction_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("result", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "transaction_id", "device", "kid", name=op.f("pk_acknowledgements")
        ),
        sqlite_with_rowid=False,
    )


def _create_domains() -> None:
    op.create_table(
        "domain_accounts",
        sa.Column("account_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("service_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("friendly_name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_domain_accounts")),
    )
    op.create_table(
        "domain_revisions",
        sa.Column("account_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(length=60), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "revision", name=op.f("pk_domain_revisions")),
    )
    op.create_table(
        "domain_members",
        sa.Column("account_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "device", name=op.f("pk_domain_members")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "domain_requests",
        sa.Column("request", sa.LargeBinary(length=32), nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request", "device", name=op.f("pk_domain_requests")),
        sqlite_with_rowid=False,
    )


def _create_metering() -> None:
    op.create_table(
        "metering_ids",
        sa.Column("mid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(length=60), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("mid", name=op.f("pk_metering_ids")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metering_reports",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("mid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("transaction_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metering_reports")),
        sa.UniqueConstraint(
            "device",
            "mid",
            "transaction_id",
            name=op.f("uq_metering_reports_device_mid_transaction_id"),
        ),
    )
    op.create_index(
        "ix_metering_reports_mid_received_at",
        "metering_reports",
        ["mid", "received_at"],
        unique=False,
    )
    op.create_table(
        "metering_usage",
        sa.Column("report", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("report", "kid", "action", name=op.f("pk_metering_usage")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metering_devices",
        sa.Column("mid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mid", "day", "device", "action", name=op.f("pk_metering_devices")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metering_totals",
        sa.Column("mid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mid", "day", "kid", "action", name=op.f("pk_metering_totals")),
        sqlite_with_rowid=False,
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("session_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("mid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("proven", sa.Boolean(), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "session_id", name=op.f("pk_sessions")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sessions_changed_at", "sessions", ["changed_at"], unique=False)
    op.create_table(
        "stream_holders",
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("holder", name=op.f("pk_stream_holders")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "streams",
        sa.Column("stream_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("client_time", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("stream_id", name=op.f("pk_streams")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_streams_expires_at", "streams", ["expires_at"], unique=False)
    op.create_index(
        "ix_streams_open_of_holder",
        "streams",
        ["holder", "expires_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_streams_open",
        "streams",
        ["device", "kid", "holder"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("request", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("license_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("transaction_id", sa.LargeBinary(length=16), nullable=True),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("request", "ordinal", name=op.f("pk_ledger")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_device_kid", "ledger", ["device", "kid"], unique=False)
    op.create_table(
        "deletions",
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("session_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("kids", sa.LargeBinary(length=32), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "session_id", name=op.f("pk_deletions")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_deletions_deleted_at", "deletions", ["deleted_at"], unique=False)
    op.create_table(
        "deleted_kids",
        sa.Column("device", sa.String(length=44), nullable=False),
        sa.Column("session_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("issued", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("device", "session_id", "kid", name=op.f("pk_deleted_kids")),
        sqlite_with_rowid=False,
    )


def _create_keyring() -> None:
    op.create_table(
        "keyring",
        sa.Column("identity", sa.String(length=16), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_keyring")),
    )
