"""Domains: accounts, revisions, members, and the requests that were answered."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of domains."""
    op.create_table(
        "domain_accounts",
        Column("account_id", LargeBinary(16), primary_key=True),
        Column("service_id", LargeBinary(16), nullable=False),
        Column("friendly_name", Text, nullable=False),
        Column("url", Text, nullable=False),
        Column("member_limit", Integer, nullable=False),
        Column("members", Integer, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("closed_at", BigInteger),
    )
    op.create_table(
        "domain_revisions",
        Column("account_id", LargeBinary(16), primary_key=True),
        Column("revision", BigInteger, primary_key=True, autoincrement=False),
        Column("chain", LargeBinary, nullable=False),
        Column("ciphertext", LargeBinary(60), nullable=False),
        Column("made_at", BigInteger, nullable=False),
    )
    op.create_table(
        "domain_members",
        Column("account_id", LargeBinary(16), primary_key=True),
        Column("device", String(44), primary_key=True),
        Column("name", Text, nullable=False),
        Column("joined_at", BigInteger, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("left_at", BigInteger),
        Column("removed_at", BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "domain_requests",
        Column("request", LargeBinary(32), primary_key=True),
        Column("device", String(44), primary_key=True),
        Column("made_at", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
