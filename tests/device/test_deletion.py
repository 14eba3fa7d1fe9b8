"""A device tells the server what it deleted until the server says that it knows."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import seeded_random
from rightsmanager.device.deletion import Deletion, DeletionStore, report_deletions
from rightsmanager.device.journal import open_journal
from rightsmanager.device.licenses import LicenseStore
from rightsmanager.device.opening import open_license
from rightsmanager.errors import InternalError, InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.delete_license import (
    open_delete_license,
    seal_delete_license_response,
)
from rightsmanager.protocol.wire import Kid, SessionId
from tests.device.answering import URL, Answer, Lost, Server, make_client, refusing
from tests.operations.subject import PORTABLE, private_key
from tests.second import world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rightsmanager.device import LicenseOpener
    from rightsmanager.protocol.xml.envelope import Envelope
    from tests.device.conftest import Issuer

KIDS = [Kid(bytes([number]) * 16) for number in range(1, 4)]
RNG = seeded_random(b"deletion")


@pytest.fixture
def store(tmp_path: Path, opening: LicenseOpener, issuer: Issuer) -> Iterator[DeletionStore]:
    """A device with two licences for each KID."""
    licenses = LicenseStore(tmp_path)
    licenses.record_all([open_license(issuer.bound(kid), opening) for kid in KIDS * 2])
    with closing(open_journal(tmp_path)) as journal:
        yield DeletionStore(journal, licenses, 2)


def hearing(received: list[Deletion], session_id: SessionId | None = None) -> Answer:
    def answer(envelope: Envelope) -> bytes:
        keys = [private_key(world.SERVER)]
        challenge = open_delete_license(envelope, keys, PORTABLE, parse_chain)
        received.append(Deletion(challenge.session_id, challenge.kids))
        return seal_delete_license_response(session_id or challenge.session_id)

    return answer


def report(store: DeletionStore, opening: LicenseOpener, *answers: Answer) -> list[Deletion]:
    server = Server({"ProcessDeleteLicenseData": list(answers)})
    return list(report_deletions(URL, make_client(opening, server), store))


def test_all_licences_for_a_kid_are_deleted_and_reported(
    store: DeletionStore, opening: LicenseOpener
) -> None:
    store.delete(KIDS[:2], RNG)
    assert store.licenses.kids() == (KIDS[2],)
    received: list[Deletion] = []
    assert report(store, opening, hearing(received)) == received
    assert [deletion.kids for deletion in received] == [tuple(KIDS[:2])]
    assert store.find_all() == ()
    assert report(store, opening) == []


def test_many_kids_are_reported_in_several_messages(
    store: DeletionStore, opening: LicenseOpener
) -> None:
    store.delete([*KIDS, KIDS[0]], RNG)
    received: list[Deletion] = []
    report(store, opening, hearing(received))
    assert sorted(len(deletion.kids) for deletion in received) == [1, 2]
    assert len({deletion.session_id for deletion in received}) == 2


def test_a_kid_without_a_licence_stops_it_before_anything_is_deleted(store: DeletionStore) -> None:
    nobodys = Kid(bytes(16))
    with pytest.raises(InternalError, match=f"no licence for KID {nobodys.text}"):
        store.delete([KIDS[0], nobodys], RNG)
    assert len(store.licenses.kids()) == 3
    assert store.find_all() == ()


def lose(envelope: Envelope) -> bytes:
    hearing([])(envelope)
    raise Lost


@pytest.mark.parametrize(
    "answer",
    [lose, refusing(ServiceSpecific("not now")), hearing([], SessionId(bytes(16)))],
)
def test_an_unanswered_deletion_is_reported_again_under_the_same_id(
    store: DeletionStore, opening: LicenseOpener, answer: Answer
) -> None:
    store.delete(KIDS[:1], RNG)
    (told,) = store.find_all()
    with pytest.raises((Lost, Refusal)):
        report(store, opening, answer)
    store.delete(KIDS[:1], RNG)
    assert report(store, opening, hearing([])) == [told]


def test_another_session_id_is_refused(store: DeletionStore, opening: LicenseOpener) -> None:
    store.delete(KIDS[:1], RNG)
    with pytest.raises(InvalidMessage, match="expected"):
        report(store, opening, hearing([], SessionId(bytes(16))))


def test_a_deletion_that_was_cut_off_is_finished(
    store: DeletionStore, opening: LicenseOpener, issuer: Issuer
) -> None:
    raws = {each.file: each.raw for each in store.licenses.find(KIDS[0])}
    store.delete(KIDS[:1], RNG)
    for file, raw in raws.items():
        file.write_bytes(raw)
    later = open_license(issuer.bound(KIDS[0]), opening)
    store.licenses.record(later)
    report(store, opening, hearing([]))
    assert [each.raw for each in store.licenses.find(KIDS[0])] == [later.raw]
