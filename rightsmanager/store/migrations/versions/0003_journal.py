"""The journal, on PostgreSQL; SQLite has a file of its own for it."""

import sqlalchemy as sa
from alembic import op

revision = "0003_journal"
down_revision = "0002_api_tokens"


def upgrade() -> None:
    """Add the journal."""
    if op.get_bind().dialect.name == "sqlite":
        return
    _add_entries()
    op.create_table(
        "journal_bodies",
        sa.Column("entry_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("reply", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_journal_bodies")),
    )
    op.create_table(
        "journal_kids",
        sa.Column("kid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("kid", "entry_id", name=op.f("pk_journal_kids")),
    )
    op.create_table(
        "journal_blocks",
        sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("min_at", sa.BigInteger(), nullable=False),
        sa.Column("max_at", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("texts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("block", name=op.f("pk_journal_blocks")),
    )
    # To compress a body or a text takes longer than to write it.
    for table, column in (("bodies", "request"), ("bodies", "reply"), ("blocks", "texts")):
        op.execute(f"ALTER TABLE journal_{table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.create_table(
        "journal_workers",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_journal_workers")),
    )
    op.create_table(
        "journal_state",
        sa.Column("one", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_journal_state")),
    )
    op.execute("INSERT INTO journal_state (one, last_id) VALUES (1, 0)")


def _add_entries() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("outcome", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("kids", sa.LargeBinary(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("custom_data", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("soap_action", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("http_status", sa.SmallInteger(), nullable=False),
        sa.Column("stages", sa.Text(), nullable=False),
        sa.Column("bytes_in", sa.Integer(), nullable=False),
        sa.Column("bytes_out", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("flags", sa.SmallInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entries")),
    )
    for name, columns, condition in (
        ("operation", ["operation", "id"], None),
        ("outcome", ["outcome", "id"], None),
        ("fault", ["id"], "outcome <> 0"),
        ("act", ["id"], "kind <> 0"),
        ("device", ["device", "id"], "device IS NOT NULL"),
        ("account", ["account", "id"], "account IS NOT NULL"),
    ):
        op.create_index(
            f"ix_journal_entries_{name}",
            "journal_entries",
            columns,
            postgresql_where=None if condition is None else sa.text(condition),
        )
