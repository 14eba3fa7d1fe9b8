"""Root and leaf: a leaf's keys are under the root's content key, and open with it alone."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as Aes
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.device import Device, LicenseOpener, open_license
from rightsmanager.device.opening import open_licenses
from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.license_seal import ClearKey, SealedKey, bind, chain
from rightsmanager.policy.grants import Policy
from rightsmanager.policy.licenses import policy_objects
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.formats.xmr import parse_license
from rightsmanager.protocol.formats.xmr.objects import (
    ContentKey,
    DeviceKey,
    KeyMaterial,
    KeyType,
    UplinkKid,
)
from rightsmanager.protocol.wire import Kid
from tests.operations.subject import PORTABLE, private_key, public_key
from tests.policy.sample import OWN_MID
from tests.second import curve, world

ROOT = ClearKey(Kid(b"root" * 4), KeyType.AES_CTR, bytes(range(16)))
LEAF = ClearKey(Kid(b"leaf" * 4), KeyType.AES_CBC, bytes(range(100, 116)))
RNG = seeded_random(b"key material")


def license_of(sealed: SealedKey) -> bytes:
    objects = (*policy_objects(Policy(), world.NOW, OWN_MID), sealed.material)
    return xmr.build_signed(bytes(16), objects, sealed.integrity_key)


def opening() -> LicenseOpener:
    device = Device(
        parse_chain(world.DEVICE_CHAIN),
        private_key(world.DEVICE_SIGNING),
        private_key(world.DEVICE_ENCRYPTION),
    )
    return LicenseOpener(device, ChainVerifier((public_key(world.ROOT),)), PORTABLE)


def bound(clear: ClearKey = ROOT) -> bytes:
    return license_of(bind(clear, public_key(world.DEVICE_ENCRYPTION), PORTABLE, RNG))


def chained() -> bytes:
    return license_of(chain(LEAF, ROOT, RNG))


def test_a_root_is_bound_to_the_device() -> None:
    license_ = parse_license(bound())
    content_key, device_key = license_.find(ContentKey), license_.find(DeviceKey)
    assert content_key is not None
    assert device_key is not None
    secret = curve.decrypt(content_key.value, world.DEVICE_ENCRYPTION)
    assert (content_key.kid, content_key.key_type, content_key.cipher) == (ROOT.kid, 1, 3)
    assert device_key.key == public_key(world.DEVICE_ENCRYPTION).raw
    assert secret[16:] == ROOT.key
    xmr.verify_signature(license_, secret[:16])


def test_a_leaf_is_under_the_roots_content_key() -> None:
    data = chained()
    # The key material follows the policies: container, content key, uplink KID.
    start = data.index(bytes.fromhex("0003 0009 00000072 0001 000a 0000003e"))
    body = data[start + 16 :]
    assert body[:16] == LEAF.kid.raw
    assert body[16:22] == bytes.fromhex("0005 0002 0020")
    root = algorithms.AES(ROOT.key)
    opener = Aes(root, modes.ECB()).decryptor()  # noqa: S305 -- the format's
    secret = opener.update(body[22:54]) + opener.finalize()
    assert secret[16:] == LEAF.key
    assert body[54:82] == bytes.fromhex("0001 003b 0000002c") + ROOT.kid.raw + bytes.fromhex(
        "0001 0010"
    )
    checksum = CMAC(root)
    checksum.update(ROOT.kid.raw)
    assert body[82:98] == checksum.finalize()
    signature = CMAC(algorithms.AES(secret[:16]))
    signature.update(data[:-28])
    assert data[-16:] == signature.finalize()
    assert parse_license(data).find(DeviceKey) is None


def test_each_leaf_has_its_own_integrity_key() -> None:
    assert chain(LEAF, ROOT, RNG).integrity_key != chain(LEAF, ROOT, RNG).integrity_key


def test_a_device_opens_a_leaf_through_its_root_wherever_that_stands() -> None:
    root, leaf = (ROOT.kid, ROOT.key, None), (LEAF.kid, LEAF.key, ROOT.kid)
    for licenses, expected in (
        ((bound(), chained()), [root, leaf]),
        ((chained(), bound()), [leaf, root]),
    ):
        opened = open_licenses(licenses, opening())
        assert expected == [(each.kid, each.content_key, each.root_kid) for each in opened]


def test_a_device_refuses_a_leaf_without_its_root() -> None:
    other = bound(replace(ROOT, kid=LEAF.kid))
    for licenses in ((chained(),), (other, chained())):
        with pytest.raises(InvalidMessage, match=f"needs the root licence for KID {ROOT.kid}"):
            open_licenses(licenses, opening())


def test_a_device_refuses_a_leaf_of_a_root_with_another_key() -> None:
    with pytest.raises(InvalidMessage, match="AES-CMAC"):
        open_license(chained(), opening(), {ROOT.kid: bytes(16)})


def test_a_device_refuses_a_root_that_is_bound_to_another() -> None:
    device = opening()
    stranger = replace(device.device, encryption_key=PrivateKey(b"\1" * 32))
    with pytest.raises(InvalidMessage, match="another device"):
        open_licenses((bound(), chained()), replace(device, device=stranger))


def altered(change: ContentKey | UplinkKid) -> bytes:
    sealed = chain(LEAF, ROOT, RNG)
    kept = [each for each in sealed.material.objects if type(each) is not type(change)]
    return license_of(replace(sealed, material=KeyMaterial((*kept, change))))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (UplinkKid(ROOT.kid, bytes(16)), "AES-CMAC"),
        (UplinkKid(ROOT.kid, bytes(16), 2), "checksum type 2, expected 1"),
        (ContentKey(LEAF.kid, 1, 2, bytes(16)), "16 bytes, expected 32"),
        (ContentKey(LEAF.kid, 1, 2, bytes(32)), "AES-CMAC"),
        (ContentKey(LEAF.kid, 1, 7, bytes(32)), "cipher 7, expected 2 or 3"),
    ],
)
def test_a_device_refuses_an_altered_leaf(change: ContentKey | UplinkKid, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        open_licenses((bound(), altered(change)), opening())
