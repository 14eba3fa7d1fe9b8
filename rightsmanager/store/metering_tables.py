"""The tables of metering: whose reports are taken, which came, and what they add up to."""

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from rightsmanager.store.tables import METADATA

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
    Column("sealed", LargeBinary(60), nullable=False),
    # Unix seconds.
    Column("created_at", BigInteger, nullable=False),
    # Unix seconds; null while its certificate is given out.
    Column("retired_at", BigInteger),
    sqlite_with_rowid=False,
)
"""The metering services beside the keyring's own."""
