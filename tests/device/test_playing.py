"""Playing needs the right to; it is counted and opens sessions as the licence says."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import seeded_random
from rightsmanager.device.journal import Journal, open_journal
from rightsmanager.device.opening import open_license
from rightsmanager.device.playing import start, stop
from rightsmanager.device.sessions import SessionStore
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr.objects import Metering, SecureStop, SecureStop2Key
from rightsmanager.protocol.messages.metering import Usage
from rightsmanager.protocol.messages.secure_stop import wrap_key
from rightsmanager.protocol.wire import Kid, Mid
from tests.device.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rightsmanager.device import LicenseOpener
    from tests.device.conftest import Issuer

KID, MID, OTHER_MID = Kid(bytes(range(16))), Mid(b"\1" * 16), Mid(b"\2" * 16)
RNG = seeded_random(b"playing")
KEY, STOP_KEY = b"content key 16 b", b"secure stop key2"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(open_journal(tmp_path)) as journal:
        yield journal


def test_a_licence_without_a_metering_id_is_not_counted(
    opening: LicenseOpener, issuer: Issuer, journal: Journal
) -> None:
    license_ = open_license(issuer.bound(KID), opening)
    playback = start(license_, journal, now=NOW, rng=RNG, times=3)
    assert (playback.times, playback.sessions) == (3, ())
    assert MeteringStore(journal).mids() == SessionStore(journal).mids() == ()


def test_plays_are_counted_for_the_metering_id(
    opening: LicenseOpener, issuer: Issuer, journal: Journal
) -> None:
    license_ = open_license(issuer.bound(KID, Metering(MID)), opening)
    start(license_, journal, now=NOW, rng=RNG, times=3)
    start(license_, journal, now=NOW, rng=RNG)
    report = MeteringStore(journal).freeze(MID, RNG)
    assert report is not None
    assert report.usage == (Usage(KID, "Play", 4),)
    assert SessionStore(journal).mids() == ()


def test_the_first_play_of_a_persistent_licence_is_remembered(
    opening: LicenseOpener, issuer: Issuer, journal: Journal
) -> None:
    for persistent, expected in ((True, NOW), (False, None)):
        license_ = open_license(issuer.bound(KID, persistent=persistent), opening)
        for later in (0, 7):
            start(license_, journal, now=NOW + later, rng=RNG)
        assert journal.first_played(license_.license.rights_id) == expected


def test_without_the_right_to_play_nothing_is_kept(
    opening: LicenseOpener, issuer: Issuer, journal: Journal
) -> None:
    license_ = open_license(issuer.bound(KID, Metering(MID), play=False), opening)
    with pytest.raises(InvalidMessage, match=f"KID {KID.text} has no right to play"):
        start(license_, journal, now=NOW, rng=RNG)
    assert MeteringStore(journal).mids() == ()
    assert journal.first_played(license_.license.rights_id) is None


def test_secure_stop_has_a_session_for_each_play(
    opening: LicenseOpener, issuer: Issuer, journal: Journal
) -> None:
    terms = (Metering(OTHER_MID), SecureStop(MID))
    license_ = open_license(issuer.bound(KID, *terms, persistent=False), opening)
    playback = start(license_, journal, now=NOW, rng=RNG, times=2)
    assert MeteringStore(journal).mids() == (OTHER_MID,)
    kept = SessionStore(journal).find(MID)
    assert [each.session.session_id for each in kept] == list(playback.sessions)
    for each in kept:
        assert (each.session.kid, each.proof_key, each.session.stopped) == (KID, None, False)
        assert (each.session.start_time, each.session.update_time) == (NOW, NOW)
    stop(playback.sessions[:1], journal, NOW + 60)
    first, second = (each.session for each in SessionStore(journal).find(MID))
    assert (first.update_time, first.stopped) == (NOW + 60, True)
    assert (second.update_time, second.stopped) == (NOW, False)


def test_the_key_of_secure_stop_2_is_taken_from_the_licence(
    opening: LicenseOpener, issuer: Issuer, journal: Journal
) -> None:
    terms = (SecureStop(MID), SecureStop2Key(wrap_key(STOP_KEY, KEY)))
    license_ = open_license(issuer.bound(KID, *terms, key=KEY, persistent=False), opening)
    start(license_, journal, now=NOW, rng=RNG)
    (kept,) = SessionStore(journal).find(MID)
    assert kept.proof_key == STOP_KEY
