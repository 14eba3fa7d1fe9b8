"""Reports of a simulated device to a running server: stopped sessions, deleted licences."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rightsmanager.crypto.random import system_random
from rightsmanager.protocol.formats.bcert import Certificate, KeyUsage, parse_chain
from rightsmanager.protocol.messages.delete_license import (
    open_delete_license_response,
    seal_delete_license,
)
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.messages.secure_stop import (
    Proof,
    SecureStopResponse,
    Session,
    open_secure_stop_response,
    seal_secure_stop,
)
from rightsmanager.protocol.wire import Kid, Mid, SessionId
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.database import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rightsmanager.store.sessions import StoredSession
    from rightsmanager.store.streams import Stream
    from tests.e2e.conftest import Client, Server


@dataclass(frozen=True)
class Reporter:
    """A device that reports to a server."""

    client: Client
    server: Server

    @property
    def mid(self) -> Mid:
        """The server's own metering id."""
        metering = self._certificate.metering
        assert metering is not None
        return metering.metering_id

    def session(self, kid: Kid) -> Session:
        """Return a session of a KID that just stopped."""
        now = int(time.time())
        return Session(SessionId(system_random(16)), kid, now, now + 1, stopped=True)

    def stop(self, sessions: Sequence[Session], proof: Proof | None = None) -> bytes:
        """Return the body of a report of sessions."""
        key = self._certificate.key_with_usage(KeyUsage.ENCRYPT_KEY)
        assert key is not None
        sealing = replace(self._sealing, server_key=key)
        return seal_secure_stop(self.mid, sessions, proof, self._asking, sealing)

    def delete(self, session_id: SessionId, kids: Sequence[Kid]) -> bytes:
        """Return the body of a report of deleted licences."""
        return seal_delete_license(session_id, kids, self._asking, self._sealing)

    @property
    def _certificate(self) -> Certificate:
        return parse_chain((self.server.data / "public" / "metering.bin").read_bytes()).leaf

    @property
    def _asking(self) -> ClientInfo:
        return ClientInfo((self.client.device.chain.raw,), int(time.time()), "10.0.16384.10011")

    @property
    def _sealing(self) -> ChallengeKeys:
        return ChallengeKeys(
            self.client.device.signing_key,
            self.client.server.wmrmserver,
            self.client.opening.backend,
            system_random,
        )


def read_stop(body: bytes) -> SecureStopResponse:
    """Return the content of a reply to a report of sessions."""
    return open_secure_stop_response(parse_envelope(body))[0]


def read_delete(body: bytes) -> SessionId:
    """Return the session of a reply to a report of deleted licences."""
    return open_delete_license_response(parse_envelope(body))[0]


def sessions_of(server: Server) -> list[StoredSession]:
    """Return the sessions in a server's database."""
    store = open_store(server.database_url)
    try:
        with store.reading() as found:
            return found.sessions.find_all()
    finally:
        store.close()


def open_streams_of(server: Server) -> list[Stream]:
    """Return the open streams in a server's database."""
    store = open_store(server.database_url)
    try:
        with store.reading() as found:
            return found.streams.find_all(int(time.time()))
    finally:
        store.close()
