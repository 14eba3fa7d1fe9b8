"""Records that the store's tests write, and the shortest way to write and find them."""

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.content_keys import StoredKey
from rightsmanager.store.database import Store
from rightsmanager.store.licenses import IssuedLicense

DEVICE = "A" * 43 + "="


def license_of(
    ordinal: int = 0, request: bytes = bytes(32), license_id: int = 1, policy: str = "{}"
) -> IssuedLicense:
    return IssuedLicense(
        device=DEVICE,
        request=request,
        ordinal=ordinal,
        kid=Kid(bytes([ordinal]) * 16),
        license_id=license_id.to_bytes(16, "big"),
        policy=policy,
        issued_at=1790000000,
    )


def key_of(number: int, added_at: int = 0) -> StoredKey:
    return StoredKey(Kid(bytes([number]) * 16), bytes([number]) * 44, "aesctr", added_at)


def all_licenses(store: Store) -> list[IssuedLicense]:
    with store.transaction() as transaction:
        return transaction.licenses.find_all()


def record(store: Store, *licenses: IssuedLicense) -> list[bytes]:
    with store.transaction() as transaction:
        return transaction.licenses.record(licenses)
