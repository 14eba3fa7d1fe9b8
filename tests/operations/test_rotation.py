"""Rotation makes the keys of periods once, and boxes by which devices get them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from rightsmanager.admin.rotation import KeyRotation
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.operations.program_keys import ContradictingKey
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.embedded import embedded_licenses
from rightsmanager.protocol.formats.pssh import parse_pssh
from rightsmanager.protocol.formats.wrmheader import Algid, Version
from rightsmanager.protocol.formats.xmr import parse_license
from rightsmanager.protocol.formats.xmr.objects import (
    Cipher,
    ContentKey,
    DeviceKey,
    SecurityLevel,
    UplinkKid,
)
from tests.operations.subject import STORAGE_KEY
from tests.policy.sample import OWN_MID
from tests.second import world

if TYPE_CHECKING:
    from rightsmanager.store.database import Store

URL = "http://127.0.0.1/rightsmanager.asmx"


def rotation_of(store: Store, options: PackagingOptions | None = None) -> KeyRotation:
    defaults = LicenseDefaults(tracks={"uhd": Policy(security_level=3000)})
    return KeyRotation(
        *(store, ContentKeys(STORAGE_KEY, b""), options or PackagingOptions(), defaults, OWN_MID),
        *(lambda: world.NOW, system_random),
    )


def test_the_next_periods_follow_the_last(store: Store) -> None:
    rotation = rotation_of(store)
    assert rotation.find_next("channel", 2) == (0, 1)
    first = rotation.rotate("channel", (0, 1))
    assert [each.is_new for each in first.periods] == [True, True]
    assert rotation.find_next("channel", 1) == (2,)
    again = rotation.rotate("channel", (1, 4), url=URL)
    assert [(each.period, each.is_new) for each in again.periods] == [(1, False), (4, True)]
    assert again.periods[0].key == first.periods[1].key
    assert rotation.find_next("channel", 1) == (5,)
    for each, url in ((first.periods[0], None), (again.periods[0], URL)):
        header = parse_pssh(each.pssh).object.header
        assert ([entry.kid for entry in header.kids], header.la_url) == ([each.kid], url)


def test_a_refused_root_leaves_no_keys_of_periods(store: Store) -> None:
    rotation = rotation_of(store)
    rotation.rotate("channel#root", (0,), scheme="cbcs")
    with pytest.raises(ContradictingKey, match="the scheme is cenc, expected AESCBC"):
        rotation.rotate("channel", (0, 1), has_root=True)
    with pytest.raises(InvalidMessage, match="expected 1 to 1024 printable"):
        rotation.rotate("x" * 1024, (0,), has_root=True)
    assert rotation.find_next("channel", 1) == rotation.find_next("x" * 1024, 1) == (0,)


def test_a_leaf_licence_has_its_key_below_the_root(store: Store) -> None:
    rotated = rotation_of(store).rotate("channel#UHD", (7,), url=URL, has_root=True)
    (leaf,), root = rotated.periods, rotated.root
    assert root is not None
    assert (root.program, root.period) == ("channel#UHD#root", 0)
    header = parse_pssh(root.pssh).object.header
    assert header.la_url == f"{URL}?cfg=(isroot:true)"
    (raw,) = embedded_licenses(parse_pssh(leaf.pssh).object)
    license_ = parse_license(raw)
    content_key, uplink = license_.find(ContentKey), license_.find(UplinkKid)
    level = license_.find(SecurityLevel)
    assert content_key is not None
    assert uplink is not None
    assert level is not None
    assert (content_key.kid, content_key.cipher) == (leaf.kid, Cipher.CHAINED)
    assert (uplink.root_kid, level.level) == (root.kid, 3000)
    assert license_.find(DeviceKey) is None
    opened = ciphers.Cipher(AES(root.key), ECB()).decryptor().update(content_key.value)  # noqa: S305
    assert opened[16:] == leaf.key


def test_a_root_key_is_for_ctr_whatever_the_content_is_for(store: Store) -> None:
    options = replace(PackagingOptions(), key_type="aescbc", header_version=Version.V4_3)
    rotated = rotation_of(store, options).rotate("cbc", (0,), scheme="cbcs", has_root=True)
    assert rotated.root is not None
    algids = [
        parse_pssh(each.pssh).object.header.kids[0].algid
        for each in (*rotated.periods, rotated.root)
    ]
    assert algids == [Algid.AESCBC, Algid.AESCTR]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", None),
        (URL, f"{URL}?cfg=(isroot:true)"),
        (f"{URL}?token=a", f"{URL}?token=a&cfg=(isroot:true)"),
    ],
)
def test_a_root_licence_is_requested_by_a_url_of_its_own(
    store: Store, url: str, expected: str | None
) -> None:
    root = rotation_of(store).rotate("channel", (0,), url=url, has_root=True).root
    assert root is not None
    assert parse_pssh(root.pssh).object.header.la_url == expected


@pytest.mark.parametrize(
    ("program", "periods", "url", "told"),
    [
        ("", (0,), URL, "the program is ''"),
        ("a", (), URL, "0 key periods, expected 1 to 999"),
        ("a", tuple(range(1000)), URL, "1000 key periods, expected 1 to 999"),
        ("a", (-1,), URL, "expected 0 to"),
        ("a", (2**32,), URL, "expected 0 to"),
        ("a", (0,), URL * 300, "PlayReady Object has"),
    ],
)
def test_what_cannot_be_rotated_is_refused_and_stores_nothing(
    store: Store, program: str, periods: tuple[int, ...], url: str, told: str
) -> None:
    with pytest.raises(InvalidMessage, match=told):
        rotation_of(store).rotate(program, periods, url=url)
    assert rotation_of(store).find_next("a", 1) == (0,)
