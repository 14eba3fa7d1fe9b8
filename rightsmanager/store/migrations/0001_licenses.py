"""What versions without revisions made; their tables are left as they are."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables that are missing."""
    op.create_table(
        "licenses",
        Column("request", LargeBinary(32), primary_key=True),
        Column("ordinal", Integer, primary_key=True, autoincrement=False),
        Column("device", String(44), nullable=False),
        Column("kid", LargeBinary(16), nullable=False),
        Column("license_id", LargeBinary(16), nullable=False),
        Column("policy", Text, nullable=False),
        Column("issued_at", BigInteger, nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_table(
        "root_licenses",
        Column("device", String(44), primary_key=True),
        Column("kid", LargeBinary(16), primary_key=True),
        Column("ciphertext", LargeBinary(44), nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_table(
        "content_keys",
        Column("kid", LargeBinary(16), primary_key=True),
        Column("ciphertext", LargeBinary(44), nullable=False),
        Column("key_type", String(8), nullable=False),
        Column("added_at", BigInteger, nullable=False),
        if_not_exists=True,
    )
    _create_revocations()
    _create_acknowledgements()


def _create_revocations() -> None:
    op.create_table(
        "revocation_lists",
        Column("list_id", LargeBinary(16), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Column("changed_at", BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "revocations",
        Column("digest", LargeBinary(32), primary_key=True),
        Column("list_id", LargeBinary(16), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("since", BigInteger, nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_table(
        "allowed_certificates",
        Column("digest", LargeBinary(32), primary_key=True),
        Column("since", BigInteger, nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )


def _create_acknowledgements() -> None:
    op.create_table(
        "transactions",
        Column("transaction_id", LargeBinary(16), primary_key=True),
        Column("device", String(44), primary_key=True),
        Column("request", LargeBinary(32), primary_key=True),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_table(
        "acknowledgements",
        Column("transaction_id", LargeBinary(16), primary_key=True),
        Column("device", String(44), primary_key=True),
        Column("kid", LargeBinary(16), primary_key=True),
        Column("result", BigInteger, nullable=False),
        Column("acknowledged_at", BigInteger, nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
