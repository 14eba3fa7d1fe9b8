"""The ledger: what became of each persistent licence, and whether a device must ask again."""

from dataclasses import replace
from queue import Queue

import pytest

from rightsmanager.admin.ledger import must_ask_again
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import Store
from rightsmanager.store.ledger import LicenseState
from tests.operations.reporting import KIDS, Site, device, id_of
from tests.second import challenge as second
from tests.second import curve, reports, world

SESSION = bytes(range(16))
PERSISTENT = "cfg=(persist:true)"
END = 1893456000
ENDING = "cfg=(persist:true,expiration:20300101)"
ISSUED, DELETED = LicenseState.ISSUED, LicenseState.DELETED


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store)


def give(site: Site, *kids: bytes, query: str = PERSISTENT) -> None:
    site.acquire(site.challenge(world.CLIENT, *kids), query)


def delete(site: Site, *kids: bytes, session: bytes = SESSION) -> bytes:
    return site.delete(reports.delete_license(world.CLIENT, session, kids))


def states(site: Site) -> list[tuple[bytes, LicenseState]]:
    return [(entry.kid.raw, entry.state(site.now)) for entry in site.ledger()]


def must_ask(site: Site, kid: bytes) -> bool:
    return must_ask_again((each for each in site.ledger() if each.kid.raw == kid), site.now)


def test_persistent_licences_are_entered(site: Site) -> None:
    reply = site.acquire(site.challenge(world.CLIENT, KIDS[0], KIDS[1]), PERSISTENT)
    entries = site.ledger()
    assert [entry.license_id for entry in entries] == [each.rights_id for each in reply.licenses]
    assert [entry.kid.raw for entry in entries] == [KIDS[0], KIDS[1]]
    assert {(entry.issued_at, entry.expires_at) for entry in entries} == {(site.now, None)}
    assert states(site) == [(KIDS[0], ISSUED), (KIDS[1], ISSUED)]


def test_others_are_not(site: Site) -> None:
    give(site, KIDS[0], query="")
    give(site, KIDS[0], query="cfg=(securestop:true)")
    assert site.ledger() == []


def test_a_repeat_is_entered_once_under_its_first_id(site: Site) -> None:
    body = site.challenge(world.CLIENT, KIDS[0])
    first, again = site.acquire(body, PERSISTENT), site.acquire(body, PERSISTENT)
    (entry,) = site.ledger()
    assert {entry.license_id} == {each.rights_id for each in (*first.licenses, *again.licenses)}


def test_a_licence_expires(site: Site) -> None:
    give(site, KIDS[0], query=ENDING)
    site.now = END - 1
    assert (states(site), must_ask(site, KIDS[0])) == ([(KIDS[0], ISSUED)], False)
    site.now = END
    assert states(site) == [(KIDS[0], LicenseState.EXPIRED)]
    assert must_ask(site, KIDS[0])


def test_what_is_deleted_is_answered_and_marked(site: Site) -> None:
    give(site, KIDS[0], KIDS[1])
    site.now += 5
    assert delete(site, KIDS[0]) == SESSION
    assert states(site) == [(KIDS[0], DELETED), (KIDS[1], ISSUED)]
    assert [entry.deleted_at for entry in site.ledger()] == [site.now, None]
    assert (must_ask(site, KIDS[0]), must_ask(site, KIDS[1])) == (True, False)


def test_all_licences_of_a_kid_are_deleted_but_not_later_ones(site: Site) -> None:
    give(site, KIDS[0])
    give(site, KIDS[0])
    delete(site, KIDS[0])
    give(site, KIDS[0])
    assert sorted(state.value for _, state in states(site)) == ["deleted", "deleted", "issued"]
    assert not must_ask(site, KIDS[0])


def test_a_repeat_is_answered_alike_and_deletes_nothing_more(site: Site) -> None:
    give(site, KIDS[0])
    delete(site, KIDS[0], KIDS[1])
    give(site, KIDS[0])
    recorded = site.ledger(), site.deleted()
    site.now += 5
    assert delete(site, KIDS[1], KIDS[0]) == SESSION
    assert (site.ledger(), site.deleted()) == recorded


def test_the_same_session_with_other_kids_is_refused(site: Site) -> None:
    give(site, *KIDS[:3])
    delete(site, KIDS[0])
    recorded = site.ledger(), site.deleted()
    for kids in ((KIDS[1],), (KIDS[0], KIDS[1])):
        with pytest.raises(InvalidMessage, match="deleted other KIDs before"):
            delete(site, *kids)
    assert (site.ledger(), site.deleted()) == recorded


def test_a_kid_that_was_never_issued_is_recorded_as_unknown(site: Site) -> None:
    give(site, KIDS[0])
    assert delete(site, KIDS[0], KIDS[1]) == SESSION
    assert [(each.kid.raw, each.issued) for each in site.deleted()] == [
        (KIDS[0], True),
        (KIDS[1], False),
    ]


def test_another_devices_licence_is_unknown_and_stays(site: Site) -> None:
    other = device(2001)
    give(site, KIDS[0])
    site.delete(reports.delete_license(other, SESSION, (KIDS[0],)))
    assert [each.issued for each in site.deleted(other)] == [False]
    assert states(site) == [(KIDS[0], ISSUED)]
    delete(site, KIDS[0])
    assert states(site) == [(KIDS[0], DELETED)]


def test_a_kid_may_be_deleted_again_under_another_session(site: Site) -> None:
    give(site, KIDS[0])
    delete(site, KIDS[0])
    delete(site, KIDS[0], session=bytes(16))
    assert {each.issued for each in site.deleted()} == {True}


def test_a_device_that_has_nothing_must_ask(site: Site) -> None:
    assert must_ask(site, KIDS[0])


@pytest.mark.parametrize(
    ("result", "expected", "must"),
    [(0, LicenseState.ACKNOWLEDGED, False), (0x8004B896, LicenseState.FAILED, True)],
)
def test_acknowledged_licences_have_that_state(
    site: Site, result: int, expected: LicenseState, *, must: bool
) -> None:
    site.acknowledge = True
    give(site, KIDS[0])
    (entry,) = site.ledger()
    assert entry.transaction_id is not None
    with site.store.transaction() as transaction:
        transaction.acknowledgements.record(
            entry.transaction_id, entry.device, Kid(KIDS[0]), result, site.now
        )
    assert states(site) == [(KIDS[0], expected)]
    assert must_ask(site, KIDS[0]) == must


@pytest.mark.parametrize(
    "body",
    [
        reports.delete_license(world.CLIENT, SESSION, ()),
        reports.delete_license(world.CLIENT, SESSION, (KIDS[0], KIDS[0])),
        reports.delete_license(world.CLIENT, SESSION[1:], (KIDS[0],)),
        reports.delete_license(world.CLIENT, SESSION, (KIDS[0][1:],)),
        reports.delete_license(
            world.CLIENT, SESSION, tuple(number.to_bytes(16, "big") for number in range(10_001))
        ),
        reports.delete_license(
            replace(world.CLIENT, server=curve.public(world.OTHER)), SESSION, (KIDS[0],)
        ),
        reports.delete_license(
            second.with_chain(world.CLIENT, world.SIGNER_CHAIN), SESSION, (KIDS[0],)
        ),
    ],
)
def test_a_bad_message_is_refused_and_changes_nothing(site: Site, body: bytes) -> None:
    give(site, KIDS[0])
    recorded = site.ledger()
    with pytest.raises(Refusal) as refusal:
        site.delete(body)
    assert isinstance(refusal.value, InvalidMessage)
    assert (site.ledger(), site.deleted()) == (recorded, [])


def test_the_operator_hears_of_deletions(site: Site) -> None:
    received: Queue[Event] = Queue()
    site.callables = HookSet(on_event=received.put)
    delete(site, KIDS[0])
    event = Event("ProcessDeleteLicenseData", id_of(world.CLIENT), (Kid(KIDS[0]),))
    assert received.get(timeout=10) == event
