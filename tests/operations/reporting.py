"""A server's licence, secure stop and secure delete services around one store and one clock."""

from dataclasses import dataclass, field, replace
from hashlib import sha256

import pytest

from rightsmanager.crypto.digest import hkdf_sha256
from rightsmanager.errors import Refusal
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.keyring import MeteringIdentity
from rightsmanager.operations.context import Context, Options
from rightsmanager.operations.streams import StreamSettings
from rightsmanager.protocol.wire import Mid
from rightsmanager.store.database import Store
from rightsmanager.store.ledger import DeletedKid, LedgerEntry
from rightsmanager.store.sessions import StoredSession
from rightsmanager.store.streams import Stream
from tests.operations.subject import (
    METERING,
    SECURE_STOP_SECRET,
    ask,
    make_context,
    metering_identity,
    post,
)
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, reports, world
from tests.second.certificates import read_chain
from tests.second.reply import Reply, read_reply

MID = bytes(range(16, 32))
ROOT = curve.public(world.ROOT)
KIDS = tuple(bytes([number]) * 16 for number in range(1, 6))


def device(number: int) -> second.Client:
    """Return one of many devices."""
    subject = cert.Subject(cert.DEVICE, ((number, (cert.SIGN, cert.ENCRYPT)),))
    return second.Client(world.device_chain(subject), number, number, curve.public(world.SERVER))


def id_of(client: second.Client) -> str:
    """Return the device id of a client."""
    key = read_chain(client.chain)[0].key(cert.SIGN)
    return second.b64(sha256(curve.point_bytes(key)).digest())


def secure_stop_key(kid: bytes) -> bytes:
    return hkdf_sha256(SECURE_STOP_SECRET, kid, 16)


@dataclass
class Site:
    """Requests to the operations, and the content of the store afterwards."""

    store: Store
    streams: StreamSettings = field(default_factory=StreamSettings)
    callables: HookSet = field(default_factory=HookSet)
    now: int = world.NOW
    acknowledge: bool = False
    _count: int = field(default=0, init=False)

    def nonce(self) -> bytes:
        """Return the number that makes the next challenge differ."""
        self._count += 1
        return self._count.to_bytes(16, "big")

    def challenge(
        self,
        client: second.Client,
        *kids: bytes,
        nonce: bytes | None = None,
        client_time: int | None = None,
    ) -> bytes:
        """Return an AcquireLicense challenge; by default at the device's clock as the server's."""
        wish = second.Wish(
            second.header_42(*kids),
            "4",
            nonce or self.nonce(),
            str(self.now if client_time is None else client_time),
        )
        return second.challenge(client, wish)

    def acquire(
        self, body: bytes, query: str = "cfg=(securestop:true)", key: int = world.DEVICE_ENCRYPTION
    ) -> Reply:
        """Return the reply, its licences opened with a device's private key."""
        return read_reply(ask(self._context(), body, query), key, ROOT)

    def stop(
        self, said: reports.SecureStop, client: second.Client = world.CLIENT
    ) -> tuple[bytes, tuple[bytes, ...], bytes]:
        """Report sessions; return what the second client reads in the reply."""
        return self.post_stop(said.body(replace(client, server=curve.public(METERING))))

    def post_stop(self, body: bytes) -> tuple[bytes, tuple[bytes, ...], bytes]:
        """Post a report of sessions."""
        context = self._context(always=False, metering=metering_identity(Mid(MID), METERING))
        reply = post(context, "ProcessSecureStopData", body)
        return reports.read_secure_stop_reply(reply, ROOT)

    def delete(self, body: bytes) -> bytes:
        """Report deleted licences; return the session id in the reply."""
        return reports.read_delete_license_reply(
            post(self._context(), "ProcessDeleteLicenseData", body)
        )

    def _context(self, *, always: bool = True, metering: MeteringIdentity | None = None) -> Context:
        return make_context(
            self.store,
            always=always,
            metering=metering,
            hooks=Hooks(self.callables, 5),
            clock=lambda: self.now,
            options=Options(
                streams=self.streams,
                acknowledge_persistent=self.acknowledge,
                max_sessions=20,
                max_deleted_kids=20,
            ),
        )

    def refusal(self, said: reports.SecureStop, client: second.Client = world.CLIENT) -> Refusal:
        """Return why a report is refused; what was recorded stays as it was."""
        before = self.sessions(), self.all_streams()
        with pytest.raises(Refusal) as refusal:
            self.stop(said, client)
        assert (self.sessions(), self.all_streams()) == before
        return refusal.value

    def sessions(self) -> list[StoredSession]:
        with self.store.reading() as found:
            return found.sessions.find_all()

    def open_streams(self) -> list[Stream]:
        with self.store.reading() as found:
            return found.streams.find_all(self.now)

    def all_streams(self) -> list[Stream]:
        with self.store.reading() as found:
            return found.streams.find_all(self.now, ended=True)

    def ledger(self, client: second.Client = world.CLIENT) -> list[LedgerEntry]:
        with self.store.reading() as found:
            return found.ledger.find_all(id_of(client))

    def deleted(self, client: second.Client = world.CLIENT) -> list[DeletedKid]:
        with self.store.reading() as found:
            return found.ledger.find_deleted_kids(id_of(client))
