"""Licences open with the device's key, and say so without giving the content key away."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace

import pytest

from rightsmanager.crypto.aes import cmac, ecb_encrypt
from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.inspection import Check, Context, Description, describe
from rightsmanager.operations.license_seal import ClearKey, bind
from rightsmanager.protocol.formats.xmr import build_signed
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.wire import NEVER, AccountId, Guid, Kid

Names = Callable[[Description, str], set[str]]
Find = Callable[[Description, str], Description]
Own = Callable[[Description, str], Check]

IN_THE_CLEAR = "content key in the clear"
ROOT_KID, LEAF_KID = Kid(bytes(range(16))), Kid(bytes(range(16, 32)))
ROOT_KEY, INTEGRITY = bytes(range(32, 48)), bytes(range(48, 64))
ACCOUNT = AccountId(b"account id 00001")
RESOLUTION = Guid.from_text("9645E831-E01D-4FFF-8342-0A720E3E028F")


def licence(*objects: xmr.XmrObject) -> bytes:
    return build_signed(bytes(16), objects, INTEGRITY)


def leaf(key: bytes = content_key(TEST_KEY_SEED, LEAF_KID.raw)) -> bytes:
    wrapped = ecb_encrypt(ROOT_KEY, INTEGRITY + key)
    return licence(
        xmr.KeyMaterial(
            (
                xmr.ContentKey(LEAF_KID, xmr.KeyType.AES_CTR, xmr.Cipher.CHAINED, wrapped),
                xmr.UplinkKid(ROOT_KID, cmac(ROOT_KEY, ROOT_KID.raw)),
            )
        )
    )


@pytest.mark.parametrize("number", range(1, 5))
def test_the_devices_licences_open(
    number: int, things: dict[str, bytes], aided: Context, names: Names
) -> None:
    found = describe(things[f"xmr_bound_{number}"], aided)
    assert names(found, "ok") >= {"device key", "content key", "CMAC", "security level"}
    assert not found.failed


def test_an_altered_licence_fails_its_cmac_alone(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    assert names(describe(things["xmr_bound_5"], aided), "failed") == {"CMAC"}


def test_the_content_key_is_shown_only_when_asked(
    things: dict[str, bytes], aided: Context, find: Find
) -> None:
    key = "44d26d6ee9d76a02960c9d645ba8ee8f"
    hidden = describe(things["xmr_bound_1"], aided)
    assert key not in repr(hidden)
    shown = describe(things["xmr_bound_1"], replace(aided, show_keys=True))
    assert find(shown, IN_THE_CLEAR).value == key


def test_a_secure_stop_2_key_is_shown_only_when_asked(bare: Context, find: Find) -> None:
    key, secret = PrivateKey.generate(seeded_random(b"device")), bytes(range(70, 86))
    clear = ClearKey(LEAF_KID, xmr.KeyType.AES_CTR, ROOT_KEY)
    sealed = bind(clear, key.public, bare.backend, seeded_random(b"secure stop"))
    carried = xmr.GlobalPolicy((xmr.SecureStop2Key(ecb_encrypt(ROOT_KEY, secret)),))
    data = build_signed(bytes(16), (carried, sealed.material), sealed.integrity_key)
    aided = replace(bare, device_keys=(key,))
    name = "secure stop 2 key in the clear"
    assert find(describe(data, aided), name).value == "opened, not shown"
    assert find(describe(data, replace(aided, show_keys=True)), name).value == secret.hex()
    assert name not in repr(describe(data, bare))


def test_another_devices_licence_stays_closed(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    found = describe(things["xmr_published"], aided)
    assert names(found, "failed") == {"device key", "time"}
    assert names(found, "not possible") == {"content key", "CMAC"}


def test_a_level_above_the_devices_fails(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    found = describe(things["xmr_bound_1"], replace(aided, device_level=100))
    assert names(found, "failed") == {"security level"}


def test_a_leaf_licence_opens_with_its_roots_key(bare: Context, names: Names, find: Find) -> None:
    found = describe(leaf(), replace(bare, content_keys={ROOT_KID: ROOT_KEY}))
    assert names(found, "ok") == {"form", "content key", "CMAC", "uplink"}
    assert find(found, IN_THE_CLEAR).meaning == "derived from the Test Key Seed"


def test_a_leaf_licence_does_not_open_with_another_key(bare: Context, names: Names) -> None:
    found = describe(leaf(), replace(bare, content_keys={ROOT_KID: bytes(16)}))
    assert names(found, "failed") == {"CMAC", "uplink"}


def test_a_leaf_licence_alone_says_what_is_missing(bare: Context, own_check: Own) -> None:
    check = own_check(describe(leaf(), bare), "uplink")
    assert check.text == "the content key of the root licence is not known"


def test_dates_protections_and_limits_are_spelled_out(bare: Context, find: Find) -> None:
    objects = (
        xmr.Expiration(0, NEVER),
        xmr.IssueDate(1446224170),
        xmr.RightsSettings(1),
        xmr.ExplicitDigitalVideoProtections(
            (xmr.ExplicitDigitalVideoProtection(RESOLUTION, b64decode("AAAEOAAAB4A=")),)
        ),
        xmr.Unknown(0x7777, b"\x01\x02"),
    )
    found = describe(licence(*objects), bare)
    assert find(found, "begin").meaning == "no begin"
    assert find(found, "end").meaning == "no end"
    assert find(found, "date").meaning == "2015-10-30T16:56:10Z"
    assert find(found, "settings").meaning == "cannot persist"
    assert find(found, "data").meaning == "1920x1080"
    assert find(found, "body").value == "0102"
    assert str(find(found, "id").meaning).startswith("maximum resolution")


def test_one_damaged_object_leaves_the_others_readable(bare: Context, find: Find) -> None:
    data = licence(xmr.SecurityLevel(2000), xmr.IssueDate(1446224170))
    damaged = data.replace(bytes.fromhex("00010034"), bytes.fromhex("00010029"))
    found = describe(damaged, bare)
    assert [check.name for check in find(found, "domain").checks] == ["form"]
    assert find(found, "date").value == 1446224170


def test_a_key_is_known_by_the_private_half_alone(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    stranger = replace(aided, device_keys=(PrivateKey(bytes(31) + b"\x07"),))
    assert "device key" in names(describe(things["xmr_bound_1"], stranger), "failed")


def test_a_licence_of_a_domain_opens_with_the_domains_key(
    aided: Context, find: Find, own_check: Own
) -> None:
    key = PrivateKey(bytes(31) + b"\x09")
    clear = ClearKey(LEAF_KID, xmr.KeyType.AES_CTR, content_key(TEST_KEY_SEED, LEAF_KID.raw))
    sealed = bind(clear, key.public, aided.backend, seeded_random(b"domain"))
    domain = xmr.GlobalPolicy((xmr.Domain(ACCOUNT, 2),))
    data = build_signed(bytes(16), (domain, sealed.material), sealed.integrity_key)
    member = describe(data, replace(aided, domain_keys=(key,)))
    assert not member.failed
    assert own_check(member, "content key").text == "opens with the domain's key"
    assert own_check(member, "device key").text.startswith("the licence is bound to the domain's")
    assert "domain" in str(find(member, "domain"))
    stranger = own_check(describe(data, aided), "device key")
    assert stranger.text.endswith(f"has no key of account {ACCOUNT.text} at revision 2")
