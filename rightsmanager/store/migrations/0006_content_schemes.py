"""The protection scheme and explicit IV of imported content keys."""

from alembic import op
from sqlalchemy import Column, LargeBinary, String

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add scheme and IV to the sources."""
    op.add_column("content_sources", Column("scheme", String(4)))
    op.add_column("content_sources", Column("iv", LargeBinary(16)))
