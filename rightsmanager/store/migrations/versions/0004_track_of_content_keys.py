"""The track of each content key."""

import sqlalchemy as sa
from alembic import op

revision = "0004_track_of_content_keys"
down_revision = "0003_journal"


def upgrade() -> None:
    """Add the track of each content key, none for keys that are stored already."""
    op.add_column("content_keys", sa.Column("track", sa.String(length=64), nullable=True))
