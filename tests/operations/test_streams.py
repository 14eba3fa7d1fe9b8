"""Licences with secure stop open streams, of which each account or device may have so many."""

import json
import threading
from dataclasses import replace

import pytest

from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.errors import InternalError, Refusal, ServiceSpecific
from rightsmanager.hooks.choice import Choice
from rightsmanager.hooks.facts import Facts, StreamHolder
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.streams import StreamSettings
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import Store
from rightsmanager.store.streams import EndedBy
from tests.operations.reporting import KIDS, MID, Site, device, id_of
from tests.operations.subject import issued
from tests.second import reports, world

HOLDER = f"device:{id_of(world.CLIENT)}"
LIFETIME = 3600
ENDING = "cfg=(securestop:true,expiration:20300101)"
END = 1893456000


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store, StreamSettings(max_per_device=2, lifetime_seconds=LIFETIME))


def session(kid: bytes, number: int, start: int, update: int, stopped: int = 1) -> reports.Session:
    return reports.Session(number.to_bytes(16, "big"), kid, start, update, stopped)


def stop(site: Site, *sessions: reports.Session) -> None:
    site.stop(reports.SecureStop(MID, sessions))


def play(site: Site, *kids: bytes, query: str = "cfg=(securestop:true)") -> None:
    site.acquire(site.challenge(world.CLIENT, *kids), query)


def refused(site: Site, *kids: bytes, query: str = "cfg=(securestop:true)") -> Refusal:
    """Return why a licence is refused; what was recorded stays as it was."""
    before = site.all_streams(), issued(site.store)
    with pytest.raises(Refusal) as refusal:
        play(site, *kids, query=query)
    assert (site.all_streams(), issued(site.store)) == before
    return refusal.value


def kids_of(site: Site) -> list[bytes]:
    return sorted(stream.kid.raw for stream in site.open_streams())


def test_a_licence_with_secure_stop_opens_a_stream_of_its_device(site: Site) -> None:
    site.acquire(site.challenge(world.CLIENT, KIDS[0], client_time=1234))
    (stream,) = site.open_streams()
    assert (stream.holder, stream.device, stream.kid) == (HOLDER, id_of(world.CLIENT), Kid(KIDS[0]))
    assert (stream.client_time, stream.opened_at) == (1234, site.now)
    assert stream.expires_at == site.now + LIFETIME


def test_a_stream_lasts_as_long_as_its_licence(site: Site) -> None:
    play(site, KIDS[0], query=ENDING)
    assert [stream.expires_at for stream in site.open_streams()] == [END]


def test_other_licences_open_none(site: Site) -> None:
    play(site, KIDS[0], query="")
    play(site, KIDS[1], query="cfg=(persist:true)")
    assert site.all_streams() == []


def test_a_repeat_opens_no_second_stream(site: Site) -> None:
    body = site.challenge(world.CLIENT, KIDS[0])
    first, again = site.acquire(body), site.acquire(body)
    assert [each.rights_id for each in first.licenses] == [
        each.rights_id for each in again.licenses
    ]
    assert len(site.all_streams()) == 1


def test_a_repeat_does_not_reopen_an_ended_stream(site: Site) -> None:
    body = site.challenge(world.CLIENT, KIDS[0])
    site.acquire(body)
    stop(site, session(KIDS[0], 1, site.now, site.now))
    site.acquire(body)
    assert site.open_streams() == []


def test_a_repeat_keeps_its_stream_as_long_as_the_repeated_licence(site: Site) -> None:
    body = site.challenge(world.CLIENT, KIDS[0])
    site.acquire(body)
    site.now += 100
    site.acquire(body)
    assert [stream.expires_at for stream in site.open_streams()] == [site.now + LIFETIME]


def test_a_stream_above_the_limit_is_refused_with_a_reason(site: Site) -> None:
    play(site, KIDS[0])
    play(site, KIDS[1])
    refusal = refused(site, KIDS[2])
    assert isinstance(refusal, ServiceSpecific)
    assert json.loads(refusal.custom_data or "") == {
        "reason": "streams",
        "device": id_of(world.CLIENT),
        "limit": 2,
        "open": 2,
        "kid": Kid(KIDS[2]).text,
    }
    assert f"open streams of the device {id_of(world.CLIENT)}: 2, expected fewer" in refusal.text


def test_one_reply_opens_all_its_streams_or_none(site: Site) -> None:
    refused(site, *KIDS[:3])
    play(site, *KIDS[:2])
    assert kids_of(site) == list(KIDS[:2])


def test_every_device_has_its_own(site: Site) -> None:
    play(site, *KIDS[:2])
    site.acquire(site.challenge(device(2001), KIDS[0]), key=2001)
    assert len(site.open_streams()) == 3


def test_there_is_no_limit_unless_one_is_set(site: Site) -> None:
    site.streams = StreamSettings()
    play(site, *KIDS)
    assert len(site.open_streams()) == len(KIDS)


def test_a_renewal_replaces_its_stream(site: Site) -> None:
    play(site, *KIDS[:2])
    site.now += 10
    play(site, KIDS[0])
    assert len(site.open_streams()) == 2
    assert [each.ended_by for each in site.all_streams() if each.ended_at] == [EndedBy.RENEWAL]


def test_a_renewal_passes_after_the_limit_was_lowered(site: Site) -> None:
    play(site, *KIDS[:2])
    site.streams = StreamSettings(max_per_device=1)
    play(site, KIDS[0])
    assert isinstance(refused(site, KIDS[2]), ServiceSpecific)


def test_a_stream_ends_with_its_licence(site: Site) -> None:
    play(site, *KIDS[:2])
    site.now += LIFETIME - 1
    refused(site, KIDS[2])
    site.now += 1
    assert site.open_streams() == []
    play(site, KIDS[2])
    play(site, KIDS[0])
    refused(site, KIDS[1])
    assert EndedBy.EXPIRY in {each.ended_by for each in site.all_streams()}


# --- what closes a stream -------------------------------------------------------------------------


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stop_closes_the_stream_of_its_kid(site: Site, stopped: int) -> None:
    play(site, *KIDS[:2])
    stop(site, session(KIDS[0], 1, site.now, site.now + 5, stopped))
    assert kids_of(site) == [KIDS[1]]
    play(site, KIDS[2])


def test_several_sessions_close_several_streams(site: Site) -> None:
    play(site, *KIDS[:2])
    stop(site, *(session(kid, at, site.now, site.now) for at, kid in enumerate(KIDS[:3])))
    assert site.open_streams() == []
    assert {each.ended_by for each in site.all_streams()} == {EndedBy.STOP}


def test_another_devices_stop_closes_nothing(site: Site) -> None:
    play(site, KIDS[0])
    said = reports.SecureStop(MID, (session(KIDS[0], 1, site.now, site.now),))
    site.stop(said, device(2001))
    assert kids_of(site) == [KIDS[0]]


def test_a_late_report_of_an_earlier_session_leaves_the_next_stream_open(site: Site) -> None:
    site.acquire(site.challenge(world.CLIENT, KIDS[0], client_time=5000))
    stop(site, session(KIDS[0], 1, 4000, 4999, stopped=0))
    assert kids_of(site) == [KIDS[0]]
    stop(site, session(KIDS[0], 2, 4000, 5000))
    assert site.open_streams() == []


def test_a_stop_that_is_repeated_leaves_the_next_stream_open(site: Site) -> None:
    said = session(KIDS[0], 1, site.now, site.now)
    play(site, KIDS[0])
    stop(site, said)
    play(site, KIDS[0])
    stop(site, said)
    assert kids_of(site) == [KIDS[0]]


def test_a_wrong_proof_closes_the_stream_all_the_same(site: Site) -> None:
    play(site, KIDS[0])
    said = session(KIDS[0], 1, site.now, site.now)
    proof = (said.session_id, said.proof(bytes(16)))
    site.stop(reports.SecureStop(MID, (said,), proof))
    assert site.open_streams() == []


def test_a_devices_clock_may_say_anything(site: Site) -> None:
    site.acquire(site.challenge(world.CLIENT, KIDS[0], client_time=2**64 - 1))
    stop(site, session(KIDS[0], 1, 0, 2**63 - 1))
    assert site.open_streams() == []


# --- the operator's limit -------------------------------------------------------------------------


def test_the_hooks_limit_takes_precedence_over_the_settings(site: Site) -> None:
    asked: list[tuple[str, str]] = []

    def stream_limit(facts: Facts, holder: StreamHolder) -> int | None:
        asked.append((facts.device, holder.name))
        return 1

    site.callables = HookSet(stream_limit=stream_limit)
    play(site, KIDS[0])
    refusal = refused(site, KIDS[1])
    assert json.loads(refusal.custom_data or "")["limit"] == 1
    assert asked == [(id_of(world.CLIENT), HOLDER)] * 2


@pytest.mark.parametrize(("own", "allowed"), [(None, 2), (0, 5)])
def test_the_hook_may_use_the_settings_or_no_limit(
    site: Site, own: int | None, allowed: int
) -> None:
    site.callables = HookSet(stream_limit=lambda _facts, _holder: own)
    play(site, *KIDS[:allowed])
    assert len(site.open_streams()) == allowed
    assert own == 0 or isinstance(refused(site, KIDS[-1]), ServiceSpecific)


@pytest.mark.parametrize("wrong", [-1, True, 1.5, "2"])
def test_an_invalid_limit_is_an_internal_error(site: Site, wrong: object) -> None:
    site.callables = HookSet(stream_limit=lambda _facts, _holder: wrong)  # type: ignore[arg-type,return-value]
    assert isinstance(refused(site, KIDS[0]), InternalError)


def test_the_hook_is_not_called_for_other_licences(site: Site) -> None:
    def stream_limit(_facts: Facts, _holder: StreamHolder) -> int | None:
        raise AssertionError

    site.callables = HookSet(stream_limit=stream_limit)
    play(site, KIDS[0], query="")


# --- at once --------------------------------------------------------------------------------------


def test_the_limit_holds_for_simultaneous_requests(site: Site) -> None:
    bodies = [site.challenge(world.CLIENT, kid) for kid in KIDS]
    outcomes: list[bool] = []
    barrier = threading.Barrier(len(bodies))

    def ask(body: bytes) -> None:
        barrier.wait()
        try:
            site.acquire(body)
        except ServiceSpecific:
            outcomes.append(False)
        else:
            outcomes.append(True)

    threads = [threading.Thread(target=ask, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True, True]
    assert len(site.open_streams()) == 2


def test_a_leaf_carries_the_key_of_its_own_kid(site: Site) -> None:
    (license_,) = site.acquire(site.challenge(world.CLIENT, KIDS[1])).licenses
    assert license_.content_key == content_key(TEST_KEY_SEED, KIDS[1])
    key = reports.unwrap(license_.body(0x005C), license_.content_key)
    said = session(KIDS[1], 1, site.now, site.now)
    _, _, verified = site.stop(
        replace(reports.SecureStop(MID, (said,)), proof=(said.session_id, said.proof(key)))
    )
    assert verified == said.session_id


def test_the_streams_of_a_user_count_on_all_devices(store: Store) -> None:
    site = Site(store, StreamSettings(max_per_account=1, lifetime_seconds=LIFETIME))
    asked: list[Facts] = []

    def stream_user(facts: Facts, grant: Grant) -> str:
        asked.append(facts)
        assert grant.policy.secure_stop
        return "user@example"

    site.callables = HookSet(stream_user=stream_user)
    play(site, KIDS[0])
    (stream,) = site.open_streams()
    assert stream.holder == "user:user@example"
    other = device(4242)
    with pytest.raises(ServiceSpecific, match=r"open streams of the user user@example: 1"):
        site.acquire(site.challenge(other, KIDS[1]))
    assert [facts.device for facts in asked] == [id_of(world.CLIENT), id_of(other)]
    # Other licences do not ask.
    play(site, KIDS[2], query="")
    assert len(asked) == 2


@pytest.mark.parametrize("wrong", ["", "x" * 59, "\ud800", "\0", 1, b"user"])
def test_a_hook_that_names_no_user_is_a_fault(site: Site, wrong: object) -> None:
    site.callables = HookSet(stream_user=lambda _facts, _grant: wrong)  # type: ignore[arg-type,return-value]
    assert isinstance(refused(site, KIDS[0]), InternalError)


def test_without_a_user_the_account_or_device_counts(site: Site) -> None:
    site.callables = HookSet(stream_user=lambda _facts, _grant: None)
    play(site, KIDS[0])
    assert [stream.holder for stream in site.open_streams()] == [HOLDER]


def test_a_hook_may_refuse_reports_of_devices(site: Site) -> None:
    play(site, KIDS[0])
    facts: list[Facts] = []

    def authorise(found: Facts) -> None:
        facts.append(found)
        if found.operation == "ProcessSecureStopData":
            raise ServiceSpecific("not now")

    site.callables = HookSet(authorise=authorise)
    with pytest.raises(ServiceSpecific, match="not now"):
        stop(site, session(KIDS[0], 1, site.now, site.now))
    assert [(each.operation, each.device, each.kids) for each in facts] == [
        ("ProcessSecureStopData", id_of(world.CLIENT), (Kid(KIDS[0]),))
    ]
    assert len(site.open_streams()) == 1


def test_a_choice_names_the_user_and_the_limit(store: Store) -> None:
    site = Site(store, StreamSettings(max_per_account=5, lifetime_seconds=LIFETIME))
    site.callables = HookSet(
        choose=lambda _facts, _grants: Choice(stream_user="user@example", stream_limit=1),
        stream_user=lambda _facts, _grant: "another",
        stream_limit=lambda _facts, _holder: 7,
    )
    play(site, KIDS[0])
    with pytest.raises(ServiceSpecific, match=r"open streams of the user user@example: 1"):
        site.acquire(site.challenge(device(4243), KIDS[1]))
