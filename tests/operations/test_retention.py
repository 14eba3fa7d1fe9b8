"""Old sessions and ended streams are removed, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.admin import retention
from rightsmanager.operations.streams import StreamSettings
from rightsmanager.protocol.wire import SessionId
from rightsmanager.store.tables import BATCH_ROWS
from tests.operations.reporting import KIDS, MID, Site
from tests.second import reports, world

if TYPE_CHECKING:
    from rightsmanager.store.database import Store

LIFETIME = 1000


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store, StreamSettings(lifetime_seconds=LIFETIME))


def purge(site: Site, before: int) -> dict[str, int]:
    return dict(retention.purge(site.store, before))


def play(site: Site, kid: bytes) -> None:
    site.acquire(site.challenge(world.CLIENT, kid))


def stop(site: Site, kid: bytes) -> None:
    session = reports.Session(kid, kid, site.now, site.now)
    site.stop(reports.SecureStop(MID, (session,)))


def test_a_stream_is_removed_when_it_is_over_for_long_enough(site: Site) -> None:
    start = site.now
    play(site, KIDS[0])
    play(site, KIDS[1])
    site.now = start + 10
    stop(site, KIDS[0])
    assert purge(site, start + 10)["streams"] == 0
    assert purge(site, start + 11)["streams"] == 1
    assert [each.kid.raw for each in site.open_streams()] == [KIDS[1]]
    assert purge(site, start + LIFETIME)["streams"] == 0
    assert purge(site, start + LIFETIME + 1)["streams"] == 1
    assert site.all_streams() == []


def test_a_session_is_removed_without_recent_reports(site: Site) -> None:
    start = site.now
    stop(site, KIDS[0])
    unclean = reports.Session(KIDS[1], KIDS[1], start, start, 0)
    site.stop(reports.SecureStop(MID, (unclean,)))
    site.now = start + 10
    site.stop(reports.SecureStop(MID, (replace(unclean, update=start + 5),)))
    stop_again = reports.Session(KIDS[0], KIDS[0], start, start)
    site.stop(reports.SecureStop(MID, (stop_again,)))
    assert purge(site, start + 10)["playback sessions"] == 1
    assert [each.kid.raw for each in site.sessions()] == [KIDS[1]]
    assert purge(site, start + 11)["playback sessions"] == 1
    assert site.sessions() == []


def test_a_session_that_comes_again_after_that_ends_no_later_stream(site: Site) -> None:
    start = site.now
    session = reports.Session(KIDS[0], KIDS[0], start, start)
    play(site, KIDS[0])
    site.stop(reports.SecureStop(MID, (session,)))
    purge(site, start + 1)
    site.now = start + 10
    play(site, KIDS[0])
    site.stop(reports.SecureStop(MID, (session,)))
    assert len(site.open_streams()) == 1


def test_more_than_a_batch_is_removed_all_the_same(site: Site) -> None:
    stop(site, KIDS[0])
    (session,) = site.sessions()
    with site.store.transaction() as transaction:
        for number in range(BATCH_ROWS + 1):
            session_id = SessionId(number.to_bytes(16, "big"))
            transaction.sessions.record(replace(session, session_id=session_id))
    assert purge(site, site.now + 1)["playback sessions"] == BATCH_ROWS + 2


def test_the_ledger_stays(site: Site) -> None:
    site.acquire(site.challenge(world.CLIENT, KIDS[0]), "cfg=(persist:true)")
    site.delete(reports.delete_license(world.CLIENT, bytes(16), (KIDS[0], KIDS[1])))
    purge(site, site.now + 1)
    assert len(site.ledger()) == 1
    assert len(site.deleted()) == 2
