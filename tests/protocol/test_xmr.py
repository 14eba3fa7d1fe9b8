import json
import struct
from base64 import b64decode
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rightsmanager.crypto.aes import cmac
from rightsmanager.crypto.p256 import Backend, PrivateKey
from rightsmanager.crypto.p256_backends import available_backends
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr import (
    License,
    build_license,
    build_signed,
    parse_license,
    rights_id_after,
    verify_signature,
)
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.formats.xmr.table import LAYOUTS, Layout
from rightsmanager.protocol.wire import NEVER, Guid, Kid, Mid

VECTORS = Path(__file__).parents[1] / "vectors"
PUBLISHED = json.loads((VECTORS / "xmr_published.json").read_text("utf-8"))
BOUND = json.loads((VECTORS / "xmr_bound.json").read_text("utf-8"))
BOUND_TESTS = BOUND["tests"]

RIGHTS_ID = bytes(range(16))
INTEGRITY_KEY = bytes(range(16, 32))
KID = Kid(bytes(range(32, 48)))

T = TypeVar("T", bound=xmr.XmrObject)

LISTING = """
    3 0001 Outer
    3 0002 GlobalPolicy
    1 0034 SecurityLevel
    0 0033 EmbeddingBehavior
    1 0032 RevocationInfoVersion
    1 000D RightsSettings
    0 0013 IssueDate
    1 0012 Expiration
    1 0030 ExpireAfterFirstPlay
    1 0029 Domain
    1 0016 Metering
    1 005A SecureStop
    0 005C SecureStop2Key
    1 0055 RealTimeExpiration
    0 0050 RemovalDate
    1 0022 SourceId
    1 0028 RestrictedSourceIds
    1 001A GracePeriod
    0 002C PolicyMetadata
    2 0004 PlaybackPolicy
    1 0005 OutputProtectionLevels
    3 0007 ExplicitAnalogVideoProtections
    1 0008 ExplicitAnalogVideoProtection
    3 002E ExplicitDigitalAudioProtections
    1 0031 ExplicitDigitalAudioProtection
    3 0058 ExplicitDigitalVideoProtections
    1 0059 ExplicitDigitalVideoProtection
    2 0036 PlayEnablers
    0 0039 PlayEnabler
    3 000E CopyPolicy
    3 003C CopyPolicy2
    3 003F ExecutePolicy
    3 0041 ReadPolicy
    3 0009 KeyMaterial
    1 000A ContentKey
    0 002A DeviceKey
    1 003B UplinkKid
    1 000B Signature
"""


def head(length: int, object_type: int = 1, flags: int = 3) -> bytes:
    return struct.pack(">HHI", flags, object_type, length)


def license_of(body: bytes) -> bytes:
    return b"XMR\0\0\0\0\3" + RIGHTS_ID + head(8 + len(body)) + body


def with_object(object_type: int, body: bytes, flags: int = 1) -> bytes:
    return license_of(head(8 + len(body), object_type, flags) + body)


def only_object(data: bytes) -> xmr.XmrObject:
    (found,) = parse_license(data).outer.objects
    return found


def default_flags(layout: Layout) -> int:
    flags = {field.name: field.default for field in fields(layout.kind)}["flags"]
    assert isinstance(flags, int)
    return flags


def find(parsed: License, kind: type[T]) -> T:
    found = parsed.find(kind)
    assert found is not None
    return found


def test_the_table_is_the_listing() -> None:
    table = [
        f"{default_flags(layout)} {layout.object_type:04X} {layout.kind.__name__}"
        for layout in LAYOUTS
    ]
    assert LISTING.split("\n")[1:-1] == [f"    {row}" for row in table]


def test_the_published_licence_has_the_expected_values() -> None:
    parsed = parse_license(b64decode(PUBLISHED["license"]))
    expiration = find(parsed, xmr.Expiration)
    content_key = find(parsed, xmr.ContentKey)
    actual = {
        "rights_id_hex": parsed.rights_id.hex(),
        "kid": content_key.kid.base64,
        "begin": expiration.begin,
        "end": expiration.end,
        "issued": find(parsed, xmr.IssueDate).date,
        "revocation_version": find(parsed, xmr.RevocationInfoVersion).version,
        "security_level": find(parsed, xmr.SecurityLevel).level,
        "play": parsed.find(xmr.PlaybackPolicy) is not None,
        "persistent": parsed.find(xmr.RightsSettings) is None,
        "key_type": content_key.key_type,
        "cipher": content_key.cipher,
    }
    assert PUBLISHED["expect"] == actual


@pytest.mark.parametrize("test", [PUBLISHED, *BOUND_TESTS])
def test_every_vector_is_rebuilt(test: dict[str, Any]) -> None:
    data = b64decode(test["license"])
    assert data == build_license(parse_license(data))


@pytest.mark.parametrize("backend", available_backends(), ids=lambda backend: backend.name)
@pytest.mark.parametrize("test", BOUND_TESTS, ids=lambda test: test["id"])
def test_bound_licences_open_and_verify(test: dict[str, Any], backend: Backend) -> None:
    parsed = parse_license(b64decode(test["license"]))
    private_key = PrivateKey(b64decode(BOUND["encryption_private_key"]))
    content_key = find(parsed, xmr.ContentKey)
    secret = backend.decrypt(private_key, content_key.value)
    assert private_key.public.raw == find(parsed, xmr.DeviceKey).key
    if test["result"] == "invalid":
        with pytest.raises(InvalidMessage, match="CMAC"):
            verify_signature(parsed, secret[:16])
        return
    verify_signature(parsed, secret[:16])
    expected = test["rights_id_hex"], test["kid"], test["content_key_hex"]
    assert expected == (parsed.rights_id.hex(), content_key.kid.text, secret[16:].hex())


def test_signing_a_vector_again_yields_the_vector() -> None:
    data = b64decode(BOUND_TESTS[0]["license"])
    parsed = parse_license(data)
    private_key = PrivateKey(b64decode(BOUND["encryption_private_key"]))
    secret = available_backends()[0].decrypt(private_key, find(parsed, xmr.ContentKey).value)
    assert data == build_signed(parsed.rights_id, parsed.outer.objects[:-1], secret[:16])


def test_a_signature_covers_every_byte_before_it() -> None:
    data = build_signed(RIGHTS_ID, (xmr.SecurityLevel(150),), INTEGRITY_KEY)
    signature = xmr.Signature(cmac(INTEGRITY_KEY, data[:-28]))
    expected = License(RIGHTS_ID, xmr.Outer((xmr.SecurityLevel(150), signature)))
    assert expected == parse_license(data)
    assert data == build_license(expected)
    verify_signature(expected, INTEGRITY_KEY)


def test_a_signature_by_another_key_is_refused() -> None:
    parsed = parse_license(build_signed(RIGHTS_ID, (), INTEGRITY_KEY))
    with pytest.raises(InvalidMessage, match="CMAC"):
        verify_signature(parsed, bytes(16))


@pytest.mark.parametrize(
    "objects",
    [
        (),
        (xmr.SecurityLevel(150),),
        (xmr.Signature(bytes(16)), xmr.SecurityLevel(150)),
        (xmr.Signature(bytes(16)), xmr.Signature(bytes(16))),
        (xmr.KeyMaterial((xmr.Signature(bytes(16)),)),),
    ],
    ids=["empty", "none", "not last", "two", "too deep"],
)
def test_a_licence_must_end_with_its_one_signature(objects: tuple[xmr.XmrObject, ...]) -> None:
    with pytest.raises(InvalidMessage, match="one signature"):
        verify_signature(License(RIGHTS_ID, xmr.Outer(objects)), INTEGRITY_KEY)


def test_objects_are_found_in_their_order_however_deep() -> None:
    first, second = xmr.PlayEnabler(Guid(bytes(16))), xmr.PlayEnabler(Guid(RIGHTS_ID))
    enablers = xmr.PlayEnablers((first, second))
    parsed = License(RIGHTS_ID, xmr.Outer((xmr.PlaybackPolicy((enablers,)),)))
    assert first == parsed.find(xmr.PlayEnabler)
    assert (first, second) == parsed.find_all(xmr.PlayEnabler)
    assert parsed.find(xmr.Metering) is None
    assert parsed.find_all(xmr.Metering) == ()


def test_unknown_objects_are_kept_within_containers_too() -> None:
    unknown = head(11, 0x7777, flags=0x8003) + b"abc"
    data = with_object(0x0002, unknown, flags=3)
    expected = xmr.GlobalPolicy((xmr.Unknown(0x7777, b"abc", flags=0x8003),))
    assert expected == only_object(data)
    assert data == build_license(parse_license(data))


def test_received_flags_and_numbers_without_a_name_are_kept() -> None:
    value = KID.raw + struct.pack(">HHH", 9, 7, 2) + b"ab"
    data = with_object(0x000A, value, flags=0x4000)
    assert xmr.ContentKey(KID, 9, 7, b"ab", flags=0x4000) == only_object(data)
    assert data == build_license(parse_license(data))


def test_known_numbers_are_named() -> None:
    value = KID.raw + struct.pack(">HHH", 5, 2, 0)
    found = only_object(with_object(0x000A, value))
    assert isinstance(found, xmr.ContentKey)
    assert (found.key_type, found.cipher) == (xmr.KeyType.AES_CBC, xmr.Cipher.CHAINED)
    assert isinstance(found.key_type, xmr.KeyType)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        ("0001 0012 00000010 00000000 ffffffff", xmr.Expiration(0, NEVER)),
        ("0001 000d 0000000a 0001", xmr.RightsSettings()),
        ("0001 0055 00000008", xmr.RealTimeExpiration()),
        ("0001 0016 00000018" + "ab" * 16, xmr.Metering(Mid(b"\xab" * 16))),
        ("0000 005c 00000018" + "cd" * 16, xmr.SecureStop2Key(b"\xcd" * 16)),
        ("0001 0028 00000010 00000001 00000002", xmr.RestrictedSourceIds((1, 2))),
        ("0000 002c 0000001a" + "01" * 16 + "0203", xmr.PolicyMetadata(Guid(b"\1" * 16), b"\2\3")),
        ("0001 003b 0000001d" + "01" * 16 + "00010001ff", xmr.UplinkKid(Kid(b"\1" * 16), b"\xff")),
        ("0002 0004 00000008", xmr.PlaybackPolicy()),
    ],
)
def test_objects_have_their_published_bytes(expected: str, item: xmr.XmrObject) -> None:
    data = license_of(bytes.fromhex(expected))
    assert data == build_license(License(RIGHTS_ID, xmr.Outer((item,))))
    assert item == only_object(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "does not begin"),
        (b"XMR\0\0\0\0\2" + bytes(32), "does not begin"),
        (license_of(b"")[:-1], "too few"),
        (license_of(b"") + b"\0", "no object"),
        (license_of(b"") + head(8), "not one object"),
        (license_of(b"")[:24] + head(8, object_type=2), "not one object"),
        (license_of(b"")[:24] + head(7), "says 7 bytes"),
        (license_of(b"")[:24] + head(9), "says 9 bytes"),
        (license_of(head(9, 0x34)), "says 9 bytes"),
        (license_of(b"\0"), "no object"),
        (with_object(0x0034, b"\0"), "SecurityLevel"),
        (with_object(0x0034, b"\0\0\0"), "SecurityLevel"),
        (with_object(0x0012, bytes(4)), "Expiration"),
        (with_object(0x0029, bytes(19)), "Domain"),
        (with_object(0x0016, bytes(15)), "MID"),
        (with_object(0x0039, bytes(17)), "GUID"),
        (with_object(0x002C, bytes(15)), "GUID"),
        (with_object(0x0028, bytes(5)), "RestrictedSourceIds"),
        (with_object(0x0055, b"\0"), "RealTimeExpiration"),
        (with_object(0x005C, bytes(15)), "secure stop 2 key"),
        (with_object(0x000A, bytes(21)), "ContentKey"),
        (with_object(0x000A, bytes(20) + b"\0\2\0"), "ContentKey"),
        (with_object(0x000A, bytes(20) + b"\0\0\0"), "ContentKey"),
        (with_object(0x002A, b"\0\2\0\x40" + bytes(64)), "curve"),
        (with_object(0x002A, b"\0\1\0\x20" + bytes(32)), "length"),
        (with_object(0x002A, b"\0\1\0\x40" + bytes(65)), "device key"),
        (with_object(0x003B, bytes(18) + b"\0\2\0"), "UplinkKid"),
        (with_object(0x000B, b"\0\2\0\x10" + bytes(16)), "type"),
        (with_object(0x000B, b"\0\1\0\x08" + bytes(8)), "length"),
        (with_object(0x000B, b"\0\1\0\x10" + bytes(15)), "signature"),
    ],
)
def test_wrong_lengths_are_refused(data: bytes, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        parse_license(data)


def test_too_deep_containers_are_refused() -> None:
    body = b""
    for _ in range(6):
        body = head(8 + len(body), 0x0002) + body
    assert license_of(body) == build_license(parse_license(license_of(body)))
    with pytest.raises(InvalidMessage, match="more than 8 deep"):
        parse_license(license_of(head(8 + len(body), 0x0002) + body))


@pytest.mark.parametrize(
    "item", [xmr.SecurityLevel(1 << 16), xmr.IssueDate(-1), xmr.SecurityLevel(1, flags=1 << 16)]
)
def test_numbers_out_of_range_are_refused(item: xmr.XmrObject) -> None:
    with pytest.raises(InvalidMessage, match="does not fit"):
        build_signed(RIGHTS_ID, (item,), INTEGRITY_KEY)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_rights_id_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidMessage, match="rights id"):
        build_signed(bytes(length), (), INTEGRITY_KEY)
    with pytest.raises(InvalidMessage, match="rights id"):
        License(bytes(length), xmr.Outer())
    with pytest.raises(InvalidMessage, match="rights id"):
        rights_id_after(bytes(length), 1)


@pytest.mark.parametrize(
    ("expected", "nonce", "count"),
    [
        ("00" * 15 + "07", "00" * 15 + "07", 0),
        ("00" * 14 + "0100", "00" * 15 + "ff", 1),
        ("00" * 15 + "01", "ff" * 16, 2),
    ],
)
def test_rights_ids_count_up_from_the_nonce(expected: str, nonce: str, count: int) -> None:
    assert expected == rights_id_after(bytes.fromhex(nonce), count).hex()
