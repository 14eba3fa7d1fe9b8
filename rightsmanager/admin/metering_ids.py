"""Metering ids as the operator manages them: create, list and retire; each change is atomic."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.admin.times import date_of
from rightsmanager.crypto import aes
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage
from rightsmanager.keyring import MeteringIdentity
from rightsmanager.operations.metering_keys import associated_data
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.metering import MeteringCertificate, read_metering_certificate
from rightsmanager.protocol.wire import GUID_LENGTH, Mid, fingerprint
from rightsmanager.store.database import Store
from rightsmanager.store.metering_ids import StoredMeteringId

OWN_NAME: Final = "keyring"
"""The name of the keyring's own metering id."""


class MeteringIdState(Enum):
    """The state of a metering id."""

    IN_USE = "in use"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class MeteringIdFacts:
    """The public facts of a metering id."""

    mid: Mid
    mid_base64: str
    name: str
    state: MeteringIdState
    created_at: datetime | None
    """None for the keyring's own."""
    retired_at: datetime | None
    url: str
    """The address for reports; empty for none."""
    fingerprint: str
    """Of its public key."""
    digest: bytes
    """The digest to revoke its certificate by, 32 bytes."""


@dataclass(frozen=True, slots=True)
class KnownMeteringId:
    """A metering id with its name, certificate and dates."""

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
"""Certifies a metering id for the URL that reports are sent to."""


@dataclass(frozen=True, slots=True)
class MeteringIds:
    """Creates, lists and retires metering ids; each change is one transaction."""

    own: MeteringIdentity
    storage_key: bytes = field(repr=False)
    store: Store
    clock: Callable[[], int]
    rng: Rng

    def create(self, certify: Certify, name: str, url: str, mid: Mid | None = None) -> Mid:
        """Create a metering id with a key pair of its own, and return it.

        Without `mid` the id is random. Raises Conflict for an id that exists.
        """
        made = certify(mid or Mid(self.rng(GUID_LENGTH)), url)
        ciphertext = aes.gcm_seal(
            self.storage_key, made.key.raw, associated_data(made.mid), self.rng
        )
        chain = made.certificate.chain.raw
        with self.store.transaction() as transaction:
            stored = StoredMeteringId(made.mid, name, chain, ciphertext, self.clock())
            if made.mid == self.own.mid or not transaction.metering_ids.record(stored):
                raise Conflict(f"MeteringID {made.mid.text} is there already")
        return made.mid

    def retire(self, mid: Mid) -> None:
        """Stop issuing a metering id's certificate; raises NotFound and Conflict."""
        if mid == self.own.mid:
            raise Conflict(f"MeteringID {mid.text} is the keyring's own, which stays in use")
        with self.store.transaction() as transaction:
            if not transaction.metering_ids.retire(mid, self.clock()):
                if transaction.metering_ids.find(mid) is None:
                    raise NotFound(f"MeteringID {mid.text} is unknown")
                raise Conflict(f"MeteringID {mid.text} is retired already")

    def find(self, mid: Mid) -> KnownMeteringId:
        """Return a metering id; raises NotFound for an unknown one."""
        for each in self.find_all():
            if each.mid == mid:
                return each
        raise NotFound(f"MeteringID {mid.text} is unknown")

    def find_named(self, text: str) -> KnownMeteringId:
        """Return a metering id by its GUID, base64 or name; raises NotFound."""
        try:
            return self.find(Mid.parse(text))
        except InvalidMessage:
            named = [each for each in self.find_all() if each.name == text]
        if len(named) != 1:
            count = "is not a metering id's name" if not named else "is the name of several"
            raise NotFound(f"{text!r} is neither a GUID nor base64, and {count}: see metering list")
        return named[0]

    def find_all(self) -> Sequence[KnownMeteringId]:
        """Return all metering ids, the keyring's own first, the others oldest first."""
        with self.store.reading() as found:
            stored = found.metering_ids.find_all()
        return (
            KnownMeteringId(OWN_NAME, self.own.certificate, None, None, is_own=True),
            *_known(stored),
        )


def metering_id_facts(known: KnownMeteringId) -> MeteringIdFacts:
    """Return the public facts of a metering id."""
    certificate = known.certificate
    return MeteringIdFacts(
        mid=known.mid,
        mid_base64=known.mid.base64,
        name=known.name,
        state=MeteringIdState.IN_USE if known.retired_at is None else MeteringIdState.RETIRED,
        created_at=date_of(known.created_at),
        retired_at=date_of(known.retired_at),
        url=certificate.url or "",
        fingerprint=fingerprint(certificate.key.raw),
        digest=certificate.chain.leaf.digest,
    )


def _known(stored: Iterable[StoredMeteringId]) -> Iterable[KnownMeteringId]:
    for each in stored:
        certificate = read_metering_certificate(parse_chain(each.chain))
        yield KnownMeteringId(
            each.name, certificate, each.created_at, each.retired_at, is_own=False
        )
