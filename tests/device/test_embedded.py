"""Leaf licences in PSSH boxes and media segments are found and opened through their root."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device import find_embedded, header_of_kids, open_embedded
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.embedded import embed_licenses
from rightsmanager.protocol.formats.pssh import Pssh, build_object, build_pssh, object_of
from rightsmanager.protocol.formats.wrmheader import canonical_header
from rightsmanager.protocol.wire import Kid, encode_base64

if TYPE_CHECKING:
    from rightsmanager.device import LicenseOpener
    from tests.device.conftest import Issuer

KID, ROOT = Kid(bytes(range(16))), Kid(bytes(range(16, 32)))
ROOT_KEY = b"root content key"
HEADER = header_of_kids([KID])


def segment(*boxes: bytes) -> bytes:
    moof = b"".join(boxes)
    return struct.pack(">I4s", len(moof) + 8, b"moof") + moof + struct.pack(">I4s", 8, b"mdat")


def test_a_leaf_in_the_media_opens_through_its_root(opening: LicenseOpener, issuer: Issuer) -> None:
    leaf = issuer.leaf(KID, ROOT, ROOT_KEY)
    playready_object = embed_licenses(object_of(HEADER), [leaf])
    box, plain = build_pssh(Pssh(playready_object)), build_pssh(Pssh(object_of(HEADER)))
    inputs = (box, build_object(playready_object), segment(plain, box), encode_base64(box).encode())
    for data in inputs:
        assert find_embedded(data) == (leaf,)
        (opened,) = open_embedded(data, opening, {ROOT: ROOT_KEY})
        assert (opened.kid, opened.root_kid, opened.raw) == (KID, ROOT, leaf)
    (stored,) = open_embedded(box, replace(opening, roots={ROOT: ROOT_KEY}))
    assert stored.content_key == opened.content_key
    with pytest.raises(InvalidMessage, match=f"needs the root licence for KID {ROOT.text}"):
        open_embedded(box, opening)
    with pytest.raises(InvalidMessage, match="CMAC"):
        open_embedded(box, opening, {ROOT: bytes(16)})


def test_without_a_leaf_nothing_is_found() -> None:
    assert find_embedded(build_pssh(Pssh(object_of(HEADER)))) == ()
    with pytest.raises(InvalidMessage, match="there is a WRMHEADER, expected a PSSH box"):
        find_embedded(canonical_header(HEADER).encode())
    with pytest.raises(InvalidMessage, match="nothing known is in it"):
        find_embedded(b"nothing")
