"""ProcessDeleteLicenseData on the client's side: deletes licences and reports it.

A deletion is in the journal before a file is removed, and stays there until a reply has its session
id. A licence that is acquired again in the meantime has another id, and stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rightsmanager.crypto.random import Rng
from rightsmanager.device.client import ServerClient
from rightsmanager.device.journal import Journal
from rightsmanager.device.licenses import LicenseStore
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.messages.delete_license import (
    FORM,
    MAX_KIDS,
    open_delete_license_response,
    seal_delete_license,
)
from rightsmanager.protocol.wire import GUID_LENGTH, Kid, SessionId
from rightsmanager.protocol.xml.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Deletion:
    """The content of one message."""

    session_id: SessionId
    kids: tuple[Kid, ...]


@dataclass(frozen=True, slots=True)
class DeletionStore:
    """The deletions in a journal that are not reported yet."""

    journal: Journal
    licenses: LicenseStore
    max_kids: int = MAX_KIDS
    """The most KIDs of one message."""

    def delete(self, kids: Sequence[Kid], rng: Rng) -> None:
        """Delete all licences for the KIDs, and record it for a report.

        Raises InternalError, before anything is deleted, for a KID without a licence, unless its
        deletion waits for a report.
        """
        self.finish()
        unreported = {kid for each in self.find_all() for kid in each.kids}
        wanted = {kid: self._rights_ids(kid) for kid in dict.fromkeys(kids)}
        for kid, rights_ids in wanted.items():
            if not rights_ids and kid not in unreported:
                raise InternalError(f"the device has no licence for KID {kid.text}")
        self._record([kid for kid, rights_ids in wanted.items() if rights_ids], wanted, rng)
        self.finish()

    def _rights_ids(self, kid: Kid) -> list[bytes]:
        return [each.license.rights_id for each in self.licenses.find(kid)]

    def _record(
        self, kids: Sequence[Kid], rights_ids: Mapping[Kid, Sequence[bytes]], rng: Rng
    ) -> None:
        with self.journal.transaction() as connection:
            for at in range(0, len(kids), self.max_kids):
                session_id = rng(GUID_LENGTH)
                connection.executemany(
                    "INSERT INTO deletions VALUES (?, ?, ?)",
                    [
                        (session_id, kid.raw, rights_id)
                        for kid in kids[at : at + self.max_kids]
                        for rights_id in rights_ids[kid]
                    ],
                )

    def finish(self) -> None:
        """Remove the files of recorded deletions that an earlier process left."""
        with self.journal.transaction() as connection:
            rows = connection.execute("SELECT kid, rights_id FROM deletions").fetchall()
        for kid, rights_id in rows:
            self.licenses.remove(Kid(kid), rights_id)

    def find_all(self) -> tuple[Deletion, ...]:
        """Return the deletions to report."""
        kids: dict[bytes, dict[Kid, None]] = {}
        with self.journal.transaction() as connection:
            for session_id, kid in connection.execute(
                "SELECT session_id, kid FROM deletions ORDER BY session_id, kid"
            ):
                kids.setdefault(session_id, {})[Kid(kid)] = None
        return tuple(Deletion(SessionId(each), tuple(found)) for each, found in kids.items())

    def clear(self, deletion: Deletion) -> None:
        """Remove a reported deletion."""
        with self.journal.transaction() as connection:
            connection.execute(
                "DELETE FROM deletions WHERE session_id = ?", (deletion.session_id.raw,)
            )


def report_deletions(url: str, client: ServerClient, store: DeletionStore) -> Iterator[Deletion]:
    """Report the deletions, and yield each one that was answered.

    Raises the Refusal of a fault, InvalidMessage for a reply with another session id, and
    InternalError without a reply; deletions without an answer are sent again the next time.
    """
    store.finish()
    for deletion in store.find_all():
        envelope = client.call(url, FORM.operation, deletion_challenge(deletion, client))
        answered = accept_deletion(envelope, client)
        if answered != deletion.session_id:
            raise InvalidMessage(
                f"the reply is to SessionID {answered.text}, expected {deletion.session_id.text}"
            )
        store.clear(deletion)
        yield deletion


def accept_deletion(envelope: Envelope, client: ServerClient) -> SessionId:
    """Return the session id of a reply; raises InvalidMessage for one of another form."""
    session_id, custom_data = open_delete_license_response(envelope)
    client.on_custom_data(custom_data)
    return session_id


def deletion_challenge(deletion: Deletion, client: ServerClient) -> bytes:
    """Return the SOAP 1.1 envelope of a ProcessDeleteLicenseData challenge."""
    return seal_delete_license(
        deletion.session_id, deletion.kids, client.client_info(), client.challenge_keys()
    )
