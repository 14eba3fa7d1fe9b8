"""When a licence may be used."""

import pytest

from rightsmanager.device.terms import State, refuse_unusable, terms_of
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr import License
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.wire import NEVER, AccountId, Kid, Mid

KID, MID = Kid(bytes(range(16))), Mid(bytes(16))


def license_of(*objects: xmr.XmrObject) -> License:
    return License(bytes(16), xmr.Outer((xmr.GlobalPolicy(objects),)))


@pytest.mark.parametrize(
    ("objects", "first_played", "states"),
    [
        ((), None, {0: State.GOOD, NEVER: State.GOOD}),
        ((xmr.Expiration(0, NEVER),), None, {0: State.GOOD, NEVER: State.GOOD}),
        ((xmr.Expiration(0, 9),), None, {9: State.GOOD, 10: State.EXPIRED}),
        ((xmr.Expiration(5, NEVER),), None, {4: State.NOT_YET, 5: State.GOOD}),
        ((xmr.Expiration(5, 3),), None, {4: State.EXPIRED}),
        ((xmr.ExpireAfterFirstPlay(10),), None, {NEVER: State.GOOD}),
        ((xmr.ExpireAfterFirstPlay(10),), 7, {17: State.GOOD, 18: State.EXPIRED}),
        ((xmr.Expiration(0, 9), xmr.ExpireAfterFirstPlay(10)), 7, {10: State.EXPIRED}),
        ((xmr.Expiration(0, 30), xmr.ExpireAfterFirstPlay(10)), 7, {18: State.EXPIRED}),
        ((xmr.RemovalDate(5),), None, {4: State.GOOD, 5: State.REMOVED}),
        ((xmr.Expiration(0, 3), xmr.RemovalDate(5)), None, {4: State.EXPIRED, 5: State.REMOVED}),
    ],
)
def test_its_state_follows_from_its_terms(
    objects: tuple[xmr.XmrObject, ...], first_played: int | None, states: dict[int, State]
) -> None:
    terms = terms_of(license_of(*objects))
    assert {now: terms.state(now, first_played) for now in states} == states


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ((xmr.Expiration(0, 50),), "expired at 1970-01-01T00:00:50Z, now is 1970-01-01T00:01:40Z"),
        ((xmr.Expiration(200, NEVER),), "is good from 1970-01-01T00:03:20Z on, now is"),
        ((xmr.RemovalDate(60),), "was to be removed at 1970-01-01T00:01:00Z"),
    ],
)
def test_an_unusable_licence_is_refused_with_the_reason(
    objects: tuple[xmr.XmrObject, ...], told: str
) -> None:
    terms = terms_of(license_of(*objects))
    with pytest.raises(InvalidMessage, match=f"^the licence for KID {KID.text} {told}"):
        refuse_unusable(KID, terms, 100, None)


def test_terms_are_what_the_objects_say() -> None:
    domain = xmr.Domain(AccountId(bytes(16)), 3)
    terms = terms_of(
        license_of(
            xmr.RightsSettings(),
            xmr.IssueDate(7),
            domain,
            xmr.Metering(MID),
            xmr.SecureStop(MID),
            xmr.UplinkKid(KID, b""),
        )
    )
    assert (terms.persistent, terms.playable, terms.issued) == (False, False, 7)
    assert (terms.domain, terms.metering, terms.secure_stop) == (domain, MID, MID)
    assert terms.root_kid == KID
    bare = terms_of(License(bytes(16), xmr.Outer((xmr.PlaybackPolicy(),))))
    assert (bare.persistent, bare.playable, bare.issued, bare.root_kid) == (True, True, None, None)
