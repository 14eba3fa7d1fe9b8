"""Without parameters each KID of the header gets one licence of the default policy."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.decision import apply_security_level, default_grants
from rightsmanager.policy.grants import Grant, OutputLevels, Policy, describe
from rightsmanager.policy.licenses import policy_objects
from rightsmanager.policy.rules import AboveLevel
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import NEVER, Kid
from tests.policy.sample import OWN_MID

NOW = 1790000000
KIDS = tuple(Kid(bytes([number]) * 16) for number in range(3))
POLICY = Policy()


def header(*algids: Algid | None, version: Version = Version.V4_3) -> Header:
    entries = (HeaderKid(kid, algid) for kid, algid in zip(KIDS, algids, strict=False))
    return Header(version, tuple(entries))


def test_every_kid_gets_a_grant_in_the_headers_order() -> None:
    grants = default_grants(header(Algid.AESCBC, None, Algid.AESCBC), POLICY)
    assert grants == (
        Grant(KIDS[0], KeyType.AES_CBC, POLICY),
        Grant(KIDS[1], None, POLICY),
        Grant(KIDS[2], KeyType.AES_CBC, POLICY),
    )


def test_a_header_that_requests_no_licence_gets_no_grant() -> None:
    assert default_grants(replace(header(None), license_requested=False), POLICY) == ()


def test_cocktail_is_refused_with_its_kid() -> None:
    wanted = header(Algid.COCKTAIL, Algid.COCKTAIL, version=Version.V4_2)
    with pytest.raises(ServiceSpecific, match=f"KID {KIDS[0].text} has ALGID"):
        default_grants(wanted, POLICY)


@pytest.mark.parametrize(("level", "device"), [(0, 0), (150, 150), (150, 3000), (3000, 3000)])
def test_a_device_may_use_licences_up_to_its_security_level(level: int, device: int) -> None:
    grants = (Grant(KIDS[0], None, Policy(security_level=level)),)
    assert apply_security_level(grants, device, AboveLevel.REFUSE) == (grants, ())


def test_a_licence_above_the_devices_level_is_refused_at_any_position() -> None:
    grants = tuple(Grant(kid, None, Policy(security_level=150)) for kid in KIDS[:2])
    high = Grant(KIDS[2], None, Policy(security_level=2000))
    with pytest.raises(ServiceSpecific) as refusal:
        apply_security_level((*grants, high), 1999, AboveLevel.REFUSE)
    for fact in (KIDS[2].text, "security level 2000", "has 1999"):
        assert fact in refusal.value.text


@pytest.mark.parametrize(
    ("valid_for", "end"),
    [(0, None), (1, NOW + 1), (NEVER - NOW, NEVER - 1), (NEVER, NEVER - 1)],
)
def test_a_licence_that_expires_does_so_before_never(valid_for: int, end: int | None) -> None:
    assert Policy(valid_for=valid_for).end(NOW) == end


def kinds(policy: Policy) -> list[type[xmr.XmrObject]]:
    outer = xmr.Outer(policy_objects(policy, NOW, OWN_MID))
    return [type(item) for part in outer.objects for item in (part, *getattr(part, "objects", ()))]


def test_the_smallest_policy_has_the_fewest_objects() -> None:
    expected = [
        *(xmr.GlobalPolicy, xmr.SecurityLevel, xmr.EmbeddingBehavior),
        *(xmr.RightsSettings, xmr.IssueDate, xmr.PlaybackPolicy),
    ]
    assert expected == kinds(POLICY)


def test_a_persistent_licence_has_no_object_against_persistence() -> None:
    assert xmr.RightsSettings not in kinds(Policy(persistent=True))


def test_a_licence_that_ends_has_an_expiration() -> None:
    (global_policy, _) = policy_objects(Policy(valid_for=60), NOW, OWN_MID)
    assert isinstance(global_policy, xmr.GlobalPolicy)
    assert xmr.Expiration(0, NOW + 60) in global_policy.objects


def test_output_levels_are_written_if_one_is_set() -> None:
    levels = OutputLevels(uncompressed_digital_video=270)
    (_, playback) = policy_objects(Policy(output_levels=levels), NOW, OWN_MID)
    assert playback == xmr.PlaybackPolicy((xmr.OutputProtectionLevels(0, 270, 0, 0, 0),))


def test_without_the_right_to_play_there_is_no_playback_policy() -> None:
    assert xmr.PlaybackPolicy not in kinds(Policy(play=False))


@given(
    st.builds(
        Policy,
        security_level=st.sampled_from([150, 2000, 3000]),
        persistent=st.booleans(),
        play=st.booleans(),
        valid_for=st.integers(0, NEVER),
    ),
    st.sampled_from(KeyType),
)
def test_the_record_of_a_grant_is_its_policy_as_json(policy: Policy, key_type: KeyType) -> None:
    facts = json.loads(describe(policy, key_type))
    assert facts["key_type"] == key_type.name
    for name in ("security_level", "persistent", "play", "valid_for"):
        assert getattr(policy, name) == facts[name]
