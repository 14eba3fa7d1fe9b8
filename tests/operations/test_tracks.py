"""Licences have the policy of their key's track, for all that the request does not name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.assembly import license_defaults
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.operations.acquire_license import acquire_license
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.context import Options
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.operations.program_keys import Slot, WantedKey, record_keys
from rightsmanager.policy.rules import AboveLevel, SwappedKid, WarningCode
from rightsmanager.protocol.wire import Kid, find_track, parse_track
from rightsmanager.settings import Settings
from tests.operations.subject import STORAGE_KEY, issued, make_context, request
from tests.second import challenge as second
from tests.second import world

if TYPE_CHECKING:
    from rightsmanager.operations.context import Context
    from rightsmanager.policy.rules import DecisionWarning
    from rightsmanager.store.database import Store

SETTINGS = Settings.model_validate(
    {"tracks": {"audio": {"valid_for_seconds": 60}, "dolby": {"analog_video": 200}}}
)
KIDS = [Kid(bytes([number, 2, 3, 4, 5, 6, 7, 8]) * 2) for number in range(1, 9)]


def context_with(store: Store, *tracks: str | None, rule: AboveLevel = AboveLevel.DROP) -> Context:
    """Return a context in whose store the KIDs have keys of these tracks."""
    defaults = license_defaults(SETTINGS)
    defaults = replace(defaults, rules=replace(defaults.rules, above_level=rule))
    context = make_context(store, options=Options(defaults=defaults))
    with store.transaction() as transaction:
        for kid, track in zip(KIDS, tracks, strict=False):
            sealed = context.content_keys.seal(kid, bytes(16), "aesctr", 0, system_random)
            transaction.content_keys.record(replace(sealed, track=track))
    return context


def policies(
    context: Context, kids: list[Kid], query: str = ""
) -> tuple[list[dict[str, object]], tuple[DecisionWarning, ...]]:
    """Return the policies of the licences for a header with these KIDs, and the warnings."""
    raw = [kid.raw for kid in kids]
    wish = second.Wish(second.header_42(*raw), "4")
    asked = request(second.challenge(world.CLIENT, wish), query)
    acquire_license(context, asked)
    return [json.loads(each.policy) for each in issued(context.store)], asked.progress.warnings


EXPECTED = {
    None: (150, 0, 0, 0),
    "unheard": (150, 0, 0, 0),
    "sd": (150, 0, 0, 0),
    "audio": (150, 60, 0, 0),
    "stereo_audio": (150, 60, 0, 0),
    "hd": (2000, 0, 270, 0),
    "hd2": (2000, 0, 270, 0),
    "dolby": (150, 0, 0, 200),
}
"""Security level, seconds, levels of digital and analog video by track."""


def test_a_licence_has_the_policy_of_its_keys_track(store: Store) -> None:
    found, _ = policies(context_with(store, *EXPECTED), KIDS)
    shown = []
    for policy in found:
        levels = policy["output_levels"]
        assert isinstance(levels, dict)
        outputs = (levels["uncompressed_digital_video"], levels["analog_video"])
        shown.append((policy["security_level"], policy["valid_for"], *outputs))
    assert sorted(shown) == sorted(EXPECTED.values())


def test_a_device_gets_the_tracks_that_it_may_have(store: Store) -> None:
    context = context_with(store, "audio", "hd", "uhd1", None)
    found, (warning,) = policies(context, KIDS[:4])
    assert sorted(str(each["security_level"]) for each in found) == ["150", "150", "2000"]
    assert warning.code is WarningCode.ABOVE_LEVEL
    assert f"KID {KIDS[2].text} needs security level 3000" in warning.text


def test_by_rule_a_track_above_the_devices_level_refuses_the_request(store: Store) -> None:
    with pytest.raises(ServiceSpecific, match="needs security level 3000"):
        policies(context_with(store, "audio", "uhd", rule=AboveLevel.REFUSE), KIDS[:2])
    assert issued(store) == []


def test_what_a_request_names_comes_before_the_track(store: Store) -> None:
    context = context_with(store, "uhd", "hd")
    found, _ = policies(context, KIDS[:2], "cfg=(sl:2000)")
    for policy, digital in zip(found, (300, 270), strict=True):
        levels = policy["output_levels"]
        assert isinstance(levels, dict)
        assert policy["security_level"] == 2000
        assert levels["uncompressed_digital_video"] == digital


def test_a_request_for_one_kid_has_the_track_of_that_key(store: Store) -> None:
    context = context_with(store, "hd", "audio", None)
    query = f"cfg=(kid:{KIDS[1].text},persist:true),(kid:{KIDS[2].text})"
    found, _ = policies(context, KIDS[:3], query)
    assert [each["valid_for"] for each in found] == [60, 0]


def test_a_removal_date_conflicts_with_a_track_that_expires(store: Store) -> None:
    context = context_with(store, "audio")
    with pytest.raises(ServiceSpecific, match="PlayReady allows no removal date"):
        policies(context, KIDS[:1], "cfg=(persist:true,removaldate:20300101)")


def test_a_served_swapped_key_has_its_track(store: Store) -> None:
    context = context_with(store, "uhd")
    keys = ContentKeys(STORAGE_KEY, b"", SwappedKid.SERVE)
    with pytest.raises(ServiceSpecific, match="needs security level 3000"):
        policies(replace(context, content_keys=keys), [KIDS[0].swapped])


@pytest.mark.parametrize(
    ("wanted", "track"),
    [
        (WantedKey(Slot("movie", 0)), None),
        (WantedKey(Slot("movie#UHD", 0)), "uhd"),
        (WantedKey(Slot("movie #1 of 2", 0)), None),
        (WantedKey(Slot("movie#UHD", 0), track="hd"), "hd"),
        (WantedKey(None, KIDS[4], track="audio"), "audio"),
    ],
)
def test_a_packagers_key_has_the_track_of_its_request(
    store: Store, wanted: WantedKey, track: str | None
) -> None:
    context = make_context(store, rng=system_random)
    (key,) = record_keys(context, PackagingOptions(), [wanted])
    with store.transaction() as transaction:
        found = transaction.content_keys.find(key.kid)
        assert found is not None
        assert found.track == track
        assert transaction.content_keys.set_track(key.kid, "other")
        assert not transaction.content_keys.set_track(Kid(bytes(16)), "other")
    # A later request changes nothing.
    record_keys(context, PackagingOptions(), [replace(wanted, track="sd")])
    with store.reading() as reading:
        found = reading.content_keys.find(key.kid)
        assert found is not None
        assert found.track == "other"


def test_a_track_is_a_short_name() -> None:
    assert parse_track(" UHD-1_a.b+c ") == "uhd-1_a.b+c"
    for text in ("", "a b", "ü", "a" * 65, "a\n"):
        assert find_track(text) == (None if text != "a\n" else "a")
    with pytest.raises(InvalidMessage, match="the track is 'a b', expected 1 to 64 letters"):
        parse_track("a b")
