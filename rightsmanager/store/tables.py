"""The tables, whose constraints are what makes a repeated request count once."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

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

CONTENT_KEYS: Final = Table(
    "content_keys",
    METADATA,
    Column("kid", LargeBinary(16), primary_key=True),
    # nonce(12), AES-256-GCM ciphertext(16), tag(16) under the keyring's storage key.
    Column("sealed", LargeBinary(44), nullable=False),
    # "aesctr" or "aescbc".
    Column("key_type", String(8), nullable=False),
    # Unix seconds.
    Column("added_at", BigInteger, nullable=False),
)
"""Content keys that were added by the operator."""
