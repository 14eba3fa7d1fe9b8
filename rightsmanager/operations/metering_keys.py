"""The private keys and certificates of metering ids: the keyring's own, and those in the store.

Devices encrypt their reports to the certificate of a metering id. Private keys are stored
encrypted, so that every process and host has them from the moment they are created. A retired
metering id still decrypts what clients encrypted to it, but its certificate is no longer issued.
"""

from collections.abc import Sequence
from typing import Final

from rightsmanager.crypto import aes, p256
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.keyring import MeteringIdentity
from rightsmanager.protocol.messages.metering import metering_keys
from rightsmanager.protocol.wire import Mid
from rightsmanager.store.database import Store

# Domain separation: no other ciphertext under the storage key opens as a metering key.
_PURPOSE: Final = b"metering"


class MeteringKeys:
    """Finds the private key and the certificate of a metering id; thread-safe."""

    def __init__(self, own: MeteringIdentity, storage_key: bytes, store: Store) -> None:
        self.own_mid: Final = own.mid
        """The keyring's own metering id."""
        self.by_name: Final = metering_keys(self.find_keys)
        """Returns the private keys of a KeyName; raises InvalidMessage for an unknown one."""
        self._own = own
        self._storage_key = storage_key
        self._store = store
        # A metering id's key never changes, and none is ever removed.
        self._known = {own.mid: own.key}

    def find_keys(self, mid: Mid) -> Sequence[p256.PrivateKey]:
        """Return the private keys of a metering id; raises InvalidMessage for an unknown one."""
        key = self._known.get(mid)
        if key is None:
            key = self._known[mid] = self._open(mid)
        return (key,)

    def find_certificate(self, mid: Mid) -> bytes:
        """Return the BCert chain of a metering id; raises ServiceSpecific if unknown or retired."""
        if mid == self.own_mid:
            return self._own.certificate.chain.raw
        with self._store.reading() as found:
            stored = found.metering_ids.find(mid)
        if stored is None:
            raise ServiceSpecific(f"MeteringID {mid.text} is unknown to this server")
        if stored.retired_at is not None:
            raise ServiceSpecific(f"MeteringID {mid.text} is retired, expected one in use")
        return stored.chain

    def _open(self, mid: Mid) -> p256.PrivateKey:
        with self._store.reading() as found:
            stored = found.metering_ids.find(mid)
        if stored is None:
            raise InvalidMessage(f"MeteringID {mid.text} is unknown to this server")
        try:
            return p256.PrivateKey(
                aes.gcm_open(self._storage_key, stored.ciphertext, associated_data(mid))
            )
        except InvalidMessage as error:
            raise InternalError(
                f"the stored key of MeteringID {mid.text} does not open: {error.text}"
            ) from error


def associated_data(mid: Mid) -> bytes:
    """Return the data that the encryption of a metering id's private key authenticates."""
    return _PURPOSE + mid.raw
