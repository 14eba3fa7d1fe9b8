"""What each device did each day, as it is told from the reports that are kept."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table, and enter what is kept of the reports so far."""
    op.create_table(
        "metering_devices",
        Column("mid", LargeBinary(16), primary_key=True),
        Column("day", Integer, primary_key=True, autoincrement=False),
        Column("device", String(44), primary_key=True),
        Column("action", String(64), primary_key=True),
        Column("value", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO metering_devices (mid, day, device, action, value) "
        "SELECT mid, received_at / 86400, device, action, sum(value) "
        "FROM metering_usage JOIN metering_reports ON id = report "
        "GROUP BY mid, received_at / 86400, device, action"
    )
