"""Metering services that this server has the private keys of: its own, and those that were created.

What is reported to a metering service is encrypted to its certificate. The keyring's own is always
there. The others lie in the store, their private keys encrypted, so that every process and host
has them from the moment they are created. A retired one still decrypts what clients encrypted to
it, but its certificate is no longer given out.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.keyring import MeteringIdentity
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.challenge import KeysByName
from rightsmanager.protocol.messages.metering import MeteringCertificate, metering_keys
from rightsmanager.protocol.messages.metering import read_metering_certificate as read_certificate
from rightsmanager.protocol.wire import GUID_LENGTH, Mid
from rightsmanager.store.database import Store
from rightsmanager.store.metering_ids import StoredMeteringId

OWN_NAME: Final = "keyring"
"""What the keyring's own metering service is called."""
_PURPOSE: Final = b"metering"
"""What tells a metering service's private key from other things under the storage key."""


class MeteringKeys:
    """Finds the private key and the certificate of a metering id; several threads may use it."""

    def __init__(self, own: MeteringIdentity, storage_key: bytes, store: Store) -> None:
        self._own = own
        self._storage_key = storage_key
        self._store = store
        # A metering id's key never changes, and none is ever removed.
        self._known = {own.mid: own.key}

    @property
    def own_mid(self) -> Mid:
        """The metering id of the keyring's own service."""
        return self._own.mid

    @property
    def by_name(self) -> KeysByName:
        """What gives the private keys that a KeyName means, for whatever opens a challenge.

        It raises InvalidMessage for a KeyName that is no metering id of this server's.
        """
        return metering_keys(self.find_keys)

    def find_keys(self, mid: Mid) -> Sequence[p256.PrivateKey]:
        """Return the private keys of a metering id; raises InvalidMessage for an unknown one."""
        key = self._known.get(mid)
        if key is None:
            key = self._known[mid] = self._open(mid)
        return (key,)

    def find_certificate(self, mid: Mid) -> bytes:
        """Return the BCert chain of a metering id that is in use.

        Raises ServiceSpecific for one that is unknown or retired.
        """
        if mid == self._own.mid:
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
                aes.gcm_open(self._storage_key, stored.ciphertext, _bound_to(mid))
            )
        except InvalidMessage as error:
            raise InternalError(
                f"the stored key of MeteringID {mid.text} does not open: {error.text}"
            ) from error


@dataclass(frozen=True, slots=True)
class KnownMeteringId:
    """A metering service as the operator sees it."""

    name: str
    certificate: MeteringCertificate
    created_at: int | None
    """Unix seconds; None for the keyring's own."""
    retired_at: int | None
    """Unix seconds; None while it is in use."""
    is_own: bool

    @property
    def mid(self) -> Mid:
        """Its metering id."""
        return self.certificate.mid


Certify = Callable[[Mid, str], MeteringIdentity]
"""Makes a metering service of an id and the URL where it takes reports."""


@dataclass(frozen=True, slots=True)
class MeteringIds:
    """Creates, lists and retires metering services; each change is one transaction."""

    own: MeteringIdentity
    storage_key: bytes = field(repr=False)
    store: Store
    clock: Callable[[], int]
    rng: Rng

    def create(self, certify: Certify, name: str, url: str, mid: Mid | None = None) -> Mid:
        """Make a metering service with a key pair of its own; return its metering id.

        mid: its id where that is given from outside; raises ServiceSpecific if it is taken.
        """
        made = certify(mid or Mid(self.rng(GUID_LENGTH)), url)
        sealed = aes.gcm_seal(self.storage_key, made.key.raw, _bound_to(made.mid), self.rng)
        chain = made.certificate.chain.raw
        with self.store.transaction() as transaction:
            stored = StoredMeteringId(made.mid, name, chain, sealed, self.clock())
            if made.mid == self.own.mid or not transaction.metering_ids.record(stored):
                raise ServiceSpecific(f"MeteringID {made.mid.text} is there already")
        return made.mid

    def retire(self, mid: Mid) -> None:
        """Give a metering service's certificate out no more; raises ServiceSpecific, saying why."""
        if mid == self.own.mid:
            raise ServiceSpecific(f"MeteringID {mid.text} is the keyring's own, which stays in use")
        with self.store.transaction() as transaction:
            if not transaction.metering_ids.retire(mid, self.clock()):
                known = transaction.metering_ids.find(mid) is not None
                raise ServiceSpecific(
                    f"MeteringID {mid.text} is {'retired already' if known else 'unknown'}"
                )

    def find(self, mid: Mid) -> KnownMeteringId:
        """Return a metering service; raises ServiceSpecific for an unknown one."""
        for service in self.find_all():
            if service.mid == mid:
                return service
        raise ServiceSpecific(f"MeteringID {mid.text} is unknown")

    def find_all(self) -> Sequence[KnownMeteringId]:
        """Return all metering services, the keyring's own first, the others oldest first."""
        with self.store.reading() as found:
            stored = found.metering_ids.find_all()
        return (
            KnownMeteringId(OWN_NAME, self.own.certificate, None, None, is_own=True),
            *_known(stored),
        )


def _known(stored: Iterable[StoredMeteringId]) -> Iterable[KnownMeteringId]:
    for each in stored:
        certificate = read_certificate(parse_chain(each.chain))
        yield KnownMeteringId(
            each.name, certificate, each.created_at, each.retired_at, is_own=False
        )


def _bound_to(mid: Mid) -> bytes:
    return _PURPOSE + mid.raw
