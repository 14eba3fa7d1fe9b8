"""Sessions that a device reports are recorded once, with or without proof."""

from dataclasses import replace
from queue import Queue

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rightsmanager.errors import (
    DeviceCertificateRevoked,
    InvalidMessage,
    ProtocolVersionMismatch,
)
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.formats.revocation import LISTS, REVOCATION_INFO
from rightsmanager.protocol.wire import Kid, Mid, SessionId
from rightsmanager.store.database import Store
from tests.operations.reporting import KIDS, MID, Site, device, id_of, secure_stop_key
from tests.operations.subject import METERING
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, reports, world

SESSION = reports.Session(bytes([9]) * 16, KIDS[0], world.NOW - 60, world.NOW)
UNCLEAN = replace(SESSION, stopped=0)
OTHER = replace(SESSION, session_id=bytes([8]) * 16, kid=KIDS[1], stopped=0)
ZEROS = bytes(16)


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store)


def saying(*sessions: reports.Session) -> reports.SecureStop:
    return reports.SecureStop(MID, sessions)


def proving(session: reports.Session, key: bytes) -> reports.SecureStop:
    return replace(saying(session), proof=(session.session_id, session.proof(key)))


def facts(site: Site) -> list[tuple[bytes, int, bool, bool]]:
    """Return session id, last update, and whether each stopped and is proven."""
    return [
        (each.session_id.raw, each.update_time, each.stopped, each.proven)
        for each in site.sessions()
    ]


def test_sessions_are_recorded_and_all_accepted(site: Site) -> None:
    assert site.stop(saying(SESSION, OTHER)) == (
        MID,
        (SESSION.session_id, OTHER.session_id),
        ZEROS,
    )
    (other, first) = site.sessions()
    assert (first.device, first.session_id, first.kid, first.mid) == (
        id_of(world.CLIENT),
        SessionId(SESSION.session_id),
        Kid(KIDS[0]),
        Mid(MID),
    )
    assert (first.start_time, first.update_time) == (SESSION.start, SESSION.update)
    assert (first.stopped, first.proven, other.stopped) == (True, False, False)
    assert (first.reported_at, first.changed_at) == (site.now, site.now)


def test_a_repeat_is_answered_alike_and_recorded_once(site: Site) -> None:
    said = proving(SESSION, secure_stop_key(KIDS[0]))
    first = site.stop(said)
    recorded = site.sessions()
    site.now += 10
    assert site.stop(said) == first
    assert site.sessions() == recorded


def test_a_proof_with_the_key_of_its_licence_is_confirmed(site: Site) -> None:
    reply = site.acquire(site.challenge(world.CLIENT, KIDS[0]))
    (license_,) = reply.licenses
    key = reports.unwrap(license_.body(0x005C), license_.content_key)
    assert license_.body(0x005A) != b""
    _, _, verified = site.stop(proving(SESSION, key))
    assert verified == SESSION.session_id
    assert facts(site) == [(SESSION.session_id, SESSION.update, True, True)]


@pytest.mark.parametrize("key", [bytes(16), secure_stop_key(KIDS[1])])
def test_a_wrong_proof_proves_nothing_and_loses_nothing(site: Site, key: bytes) -> None:
    accepted, verified = site.stop(proving(SESSION, key))[1:]
    assert (accepted, verified) == ((SESSION.session_id,), ZEROS)
    assert facts(site) == [(SESSION.session_id, SESSION.update, True, False)]


def test_a_session_may_be_proven_later_and_stays_so(site: Site) -> None:
    site.stop(saying(SESSION))
    site.stop(proving(SESSION, secure_stop_key(KIDS[0])))
    site.stop(saying(SESSION))
    assert facts(site) == [(SESSION.session_id, SESSION.update, True, True)]


def test_a_proof_of_a_continued_session_does_not_prove_its_end(site: Site) -> None:
    site.stop(proving(UNCLEAN, secure_stop_key(KIDS[0])))
    site.stop(saying(replace(SESSION, update=SESSION.update + 5)))
    assert facts(site) == [(SESSION.session_id, SESSION.update + 5, True, False)]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (SESSION, (SESSION.update, True)),
        (replace(UNCLEAN, update=UNCLEAN.update + 7), (UNCLEAN.update + 7, False)),
        (replace(SESSION, update=SESSION.update + 7), (SESSION.update + 7, True)),
        (replace(UNCLEAN, update=UNCLEAN.update - 7), (UNCLEAN.update, False)),
    ],
)
def test_an_unclean_session_may_turn_out_longer(
    site: Site, later: reports.Session, expected: tuple[int, bool]
) -> None:
    site.stop(saying(UNCLEAN))
    assert site.stop(saying(later))[1] == (SESSION.session_id,)
    assert facts(site) == [(SESSION.session_id, *expected, False)]


def test_an_older_report_that_arrives_late_changes_nothing(site: Site) -> None:
    site.stop(saying(SESSION))
    recorded = site.sessions()
    site.stop(saying(replace(UNCLEAN, update=UNCLEAN.update - 30)))
    assert site.sessions() == recorded


@pytest.mark.parametrize(
    ("first", "then", "text"),
    [
        (SESSION, replace(SESSION, kid=KIDS[1]), "another kid"),
        (SESSION, replace(SESSION, start=SESSION.start + 1), "another start time"),
        (SESSION, replace(SESSION, update=SESSION.update + 1), "another update time"),
        (SESSION, replace(SESSION, update=SESSION.update - 1), "another update time"),
        (SESSION, replace(UNCLEAN, update=SESSION.update + 1), "another update time"),
        (UNCLEAN, replace(SESSION, update=SESSION.update - 1), "another update time"),
    ],
)
def test_a_contradiction_is_refused_whole(
    site: Site, first: reports.Session, then: reports.Session, text: str
) -> None:
    site.stop(saying(first))
    refusal = site.refusal(saying(OTHER, then))
    assert isinstance(refusal, InvalidMessage)
    assert text in refusal.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(data=st.data())
def test_whatever_the_order_of_reports_the_last_state_stands(
    site: Site, data: st.DataObject
) -> None:
    session_id = site.nonce()
    times = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True))
    history = [
        replace(UNCLEAN, session_id=session_id, update=UNCLEAN.update + seconds)
        for seconds in sorted(times)
    ]
    end = replace(history[-1], stopped=data.draw(st.integers(0, 1)))
    reported = data.draw(st.permutations([*history, *history, end]))
    assert {site.stop(saying(each))[1] for each in reported} == {(session_id,)}
    (state,) = [each for each in facts(site) if each[0] == session_id]
    assert state == (session_id, end.update, end.stopped == 1, False)


def test_another_device_may_use_the_same_id(site: Site) -> None:
    site.stop(saying(SESSION))
    site.stop(saying(replace(SESSION, kid=KIDS[2])), device(2001))
    assert {each.device for each in site.sessions()} == {id_of(world.CLIENT), id_of(device(2001))}


def test_a_kid_need_not_be_known(site: Site) -> None:
    site.stop(saying(replace(SESSION, kid=bytes([77]) * 16)))
    assert [each.kid.raw for each in site.sessions()] == [bytes([77]) * 16]


def test_a_time_that_the_store_cannot_keep_is_refused(site: Site) -> None:
    kept = replace(SESSION, update=2**63 - 1)
    assert site.stop(saying(kept))[1] == (SESSION.session_id,)
    refusal = site.refusal(saying(replace(OTHER, update=2**63)))
    assert isinstance(refusal, InvalidMessage)
    assert "UpdateTime 9223372036854775808, expected at most" in refusal.text


def test_too_many_sessions_are_refused(site: Site) -> None:
    sessions = (replace(SESSION, session_id=number.to_bytes(16, "big")) for number in range(10_001))
    refusal = site.refusal(saying(*sessions))
    assert isinstance(refusal, InvalidMessage)
    assert "Sessions has 10001 Session, expected 1 to 20" in refusal.text


def test_another_metering_id_is_refused(site: Site) -> None:
    refusal = site.refusal(replace(saying(SESSION), mid=bytes(16)))
    assert isinstance(refusal, InvalidMessage)


def test_a_message_to_another_key_is_refused(site: Site) -> None:
    body = saying(SESSION).body(replace(world.CLIENT, server=curve.public(METERING + 1)))
    with pytest.raises(InvalidMessage, match="does not open"):
        site.post_stop(body)
    assert site.sessions() == []


def test_another_version_is_a_mismatch(site: Site) -> None:
    refusal = site.refusal(replace(saying(SESSION), version="2"))
    assert isinstance(refusal, ProtocolVersionMismatch)


def test_a_revoked_device_is_refused(site: Site) -> None:
    digest = parse_chain(world.DEVICE_CHAIN).leaf.digest
    with site.store.transaction() as transaction:
        version = transaction.revocations.raise_version(LISTS["device"])
        transaction.revocations.record(LISTS["device"], version, digest, world.NOW)
        transaction.revocations.raise_version(REVOCATION_INFO)
    assert isinstance(site.refusal(saying(SESSION)), DeviceCertificateRevoked)


def test_a_chain_of_another_pki_is_refused(site: Site) -> None:
    foreign = world.device_chain(
        cert.Subject(cert.DEVICE, world.DEVICE_KEYS),
        world.issuer(world.DEVICE_ISSUER, cert.ISSUE_DEVICE, by=1999),
    )
    client = second.with_chain(world.CLIENT, foreign)
    assert isinstance(site.refusal(saying(SESSION), client), InvalidMessage)


def test_only_licences_with_secure_stop_carry_a_key(site: Site) -> None:
    (license_,) = site.acquire(site.challenge(world.CLIENT, KIDS[0]), query="").licenses
    assert not {0x005A, 0x005C} & {kind for _, kind, _ in license_.objects}


def test_the_key_comes_before_the_metering_service_and_need_not_be_understood(site: Site) -> None:
    (license_,) = site.acquire(site.challenge(world.CLIENT, KIDS[0])).licenses
    kinds = [kind for _, kind, _ in license_.objects]
    assert kinds[kinds.index(0x005A) - 1] == 0x005C
    assert [flags for flags, kind, _ in license_.objects if kind == 0x005C] == [0]


def test_the_operator_hears_of_stops(site: Site) -> None:
    received: Queue[Event] = Queue()
    site.callables = HookSet(on_event=received.put)
    site.stop(saying(SESSION, OTHER))
    kids = (Kid(SESSION.kid), Kid(OTHER.kid))
    assert received.get(timeout=10) == Event("ProcessSecureStopData", id_of(world.CLIENT), kids)
