import base64
import hashlib
import json
import struct
from base64 import b64decode
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.crypto.p256 import PrivateKey, PublicKey
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Chain,
    Feature,
    Key,
    KeyUsage,
    Template,
    build_certificate,
    build_chain,
    chain_under,
    issue,
    parse_certificate,
    parse_chain,
)
from rightsmanager.protocol.formats.bcert import objects as bcert
from rightsmanager.protocol.formats.bcert.table import BY_KIND, TABLE, build_object, parse_object
from rightsmanager.protocol.wire import AccountId, Guid, Mid, ServiceId, fingerprint

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bcert.json").read_text("utf-8"))
KEY = PrivateKey(bytes(31) + b"\x07")
ISSUER = PrivateKey(bytes(31) + b"\x08")
SIGNATURE_OBJECT = 144
CHAIN_HEAD = 20


TEMPLATE = Template(
    type=CertificateType.DEVICE,
    security_level=2000,
    certificate_id=bytes(range(16)),
    keys=(Key(KEY.public, (KeyUsage.SIGN, KeyUsage.ENCRYPT_KEY)),),
)


def plain(value: object) -> object:
    """Values in vectors that JSON cannot express."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Guid | PublicKey):
        return value.raw.hex()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, bcert.CertificateObject):
        return {"kind": type(value).__name__, **fields_of(value)}
    if isinstance(value, Key):
        return fields_of(value)
    return value.value if isinstance(value, Enum) else value


def fields_of(value: bcert.CertificateObject | Key) -> dict[str, object]:
    return {item.name: plain(getattr(value, item.name)) for item in fields(value)}


def patched(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def one_chain() -> bytes:
    return chain_under(issue(TEMPLATE, ISSUER), None).raw


def certificate_of(*objects: bcert.CertificateObject) -> bytes:
    """Return a certificate of the objects and the necessary ones, signed by zeros."""
    basic, features, keys, signature = issue(TEMPLATE, ISSUER).objects
    return build_certificate((basic, *objects, features, keys, signature))


@pytest.mark.parametrize("vector", VECTORS["objects"], ids=lambda vector: vector["comment"])
def test_object_is_parsed(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["object"])
    found, end = parse_object(data, 0, len(data), "test")
    flags, _ = struct.unpack_from(">HH", data)
    expected = {"kind": vector["kind"], "flags": flags, **vector["fields"]}
    assert expected == plain(found)
    assert len(data) == end
    assert data == build_object(found)


@pytest.mark.parametrize("vector", VECTORS["malformed_objects"], ids=lambda item: item["comment"])
def test_malformed_object_is_refused(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["object"])
    with pytest.raises(InvalidMessage) as refusal:
        parse_object(data, 0, len(data), "test")
    assert vector["refusal"] in refusal.value.text
    assert refusal.value.text.startswith("test")


def test_every_object_of_the_table_has_a_vector() -> None:
    assert {layout.kind.__name__ for layout in TABLE} < {
        item["kind"] for item in VECTORS["objects"]
    }
    assert list(range(1, 0x12)) == [layout.tag for layout in TABLE]


@pytest.mark.parametrize("vector", VECTORS["chains"], ids=lambda vector: vector["comment"])
def test_chain_of_a_second_implementation_is_rebuilt(vector: dict[str, str]) -> None:
    data = b64decode(vector["chain"])
    chain = parse_chain(data)
    assert data == build_chain(chain.certificates)
    assert data == chain.raw


def test_chain_of_a_second_implementation_has_the_expected_values() -> None:
    vector = VECTORS["chains"][0]
    chain = parse_chain(b64decode(vector["chain"]))
    actual = [
        {
            "type": certificate.type.name,
            "security_level": certificate.security_level,
            "flags": certificate.flags,
            "expiry": certificate.expiry,
            "certificate_id": certificate.certificate_id.hex(),
            "client_id": certificate.client_id.hex(),
            "usages": [list(key.usages) for key in certificate.keys],
            "features": list(certificate.features),
            "manufacturer": certificate.manufacturer
            and [
                certificate.manufacturer.name,
                certificate.manufacturer.model_name,
                certificate.manufacturer.model_number,
            ],
        }
        for certificate in chain.certificates
    ]
    assert vector["certificates"] == actual


def test_known_numbers_are_named_and_others_kept() -> None:
    leaf = issue(
        replace(TEMPLATE, features=(13, 99), keys=(Key(KEY.public, (19, 99)),)),
        ISSUER,
    )
    assert leaf.features == (Feature.PLAYREADY_3, 99)
    assert isinstance(leaf.features[0], Feature)
    assert leaf.keys[0].usages == (KeyUsage.SIGN_LICENSE, 99)
    assert isinstance(leaf.keys[0].usages[0], KeyUsage)
    assert KEY.public == leaf.key_with_usage(99)


def test_key_is_found_by_its_usage() -> None:
    other = PrivateKey(bytes(31) + b"\x09").public
    keys = (Key(KEY.public, (1,)), Key(other, (2, 1)))
    leaf = issue(replace(TEMPLATE, keys=keys), ISSUER)
    assert KEY.public == leaf.key_with_usage(KeyUsage.SIGN)
    assert other == leaf.key_with_usage(KeyUsage.ENCRYPT_KEY)
    assert leaf.key_with_usage(KeyUsage.SIGN_LICENSE) is None


def test_issued_certificate_matches_its_template() -> None:
    account, service = AccountId(b"A" * 16), ServiceId(b"S" * 16)
    domain = bcert.Domain(service, account, 3, "https://domain.test/")
    maker = bcert.Manufacturer("Maker", "Modell Ä", None)
    leaf = issue(
        replace(
            TEMPLATE,
            type=CertificateType.DOMAIN,
            expiry=2_000_000_000,
            client_id=b"C" * 16,
            flags=1,
            objects=(domain,),
            manufacturer=maker,
        ),
        ISSUER,
    )
    assert leaf.type == CertificateType.DOMAIN
    assert leaf.expiry == 2_000_000_000
    assert leaf.client_id == b"C" * 16
    assert leaf.flags == 1
    assert domain == leaf.domain
    assert maker == leaf.manufacturer
    assert ISSUER.public == leaf.issuer_key
    assert leaf.metering is None
    assert leaf.find(bcert.Domain) is leaf.domain
    assert len(leaf.raw) - SIGNATURE_OBJECT == len(leaf.signed)


def test_metering_certificate_has_its_id() -> None:
    metering = bcert.Metering(Mid(b"M" * 16), "https://metering.test/")
    leaf = issue(replace(TEMPLATE, type=CertificateType.METERING, objects=(metering,)), ISSUER)
    assert metering == leaf.metering


def test_certificates_are_equal_when_their_bytes_are() -> None:
    first, again = parse_chain(one_chain()), parse_chain(one_chain())
    other = issue(replace(TEMPLATE, client_id=b"C" * 16), ISSUER)
    assert first == again
    assert len({first.leaf, again.leaf}) == 1
    assert other != first.leaf


def test_unknown_object_is_kept() -> None:
    unknown = bcert.Unknown(0x7777, b"whatever", flags=4)
    data = certificate_of(unknown, unknown)
    found = parse_certificate(data)
    assert (unknown, unknown) == found.objects[1:3]
    assert data == build_certificate(found.objects)


def test_announced_extended_data_may_follow_the_signature() -> None:
    objects = issue(replace(TEMPLATE, flags=1), ISSUER).objects
    extended = bcert.ExtendedData((bcert.HardwareId(b"id"),))
    found = parse_certificate(build_certificate((*objects, extended)))
    assert extended == found.find(bcert.ExtendedData)
    assert extended == found.objects[-1]


@pytest.mark.parametrize(
    ("flags", "following"),
    [
        (0, (bcert.ExtendedData(),)),
        (1, (bcert.Unknown(0x7777, b""),)),
        (1, (bcert.HardwareId(b""),)),
        (1, (bcert.Server(1),)),
        (1, (bcert.ExtendedData(), bcert.ExtendedData())),
    ],
)
def test_nothing_else_may_follow_the_signature(
    flags: int, following: tuple[bcert.CertificateObject, ...]
) -> None:
    objects = issue(replace(TEMPLATE, flags=flags), ISSUER).objects
    with pytest.raises(InvalidMessage, match=r"after the signature|there twice"):
        parse_certificate(build_certificate((*objects, *following)))


def test_repeated_object_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="Server object is there twice"):
        parse_certificate(certificate_of(bcert.Server(1), bcert.Server(2)))


@pytest.mark.parametrize("kind", [bcert.Basic, bcert.Keys])
def test_certificate_without_a_necessary_object_is_refused(
    kind: type[bcert.CertificateObject],
) -> None:
    objects = [item for item in issue(TEMPLATE, ISSUER).objects if not isinstance(item, kind)]
    with pytest.raises(InvalidMessage, match=f"{kind.__name__} object is missing"):
        parse_certificate(build_certificate(objects))


def test_certificate_without_signature_is_refused() -> None:
    signed = issue(TEMPLATE, ISSUER).signed
    head = patched(signed, 8, struct.pack(">II", len(signed), len(signed)))
    with pytest.raises(InvalidMessage, match="Signature object is missing"):
        parse_certificate(head)


def test_first_object_is_basic() -> None:
    basic, features, *others = issue(TEMPLATE, ISSUER).objects
    with pytest.raises(InvalidMessage, match="first object is not Basic"):
        parse_certificate(build_certificate((features, basic, *others)))


def test_digest_is_that_of_the_first_key() -> None:
    keys = (Key(KEY.public, (1,)), Key(ISSUER.public, (2,)))
    basic, features, _, signature = issue(replace(TEMPLATE, keys=keys), ISSUER).objects
    swapped = build_certificate((basic, features, bcert.Keys(keys[::-1]), signature))
    with pytest.raises(InvalidMessage, match="SHA-256 of the first key"):
        parse_certificate(swapped)


@pytest.mark.parametrize("offset", [16, 24, -SIGNATURE_OBJECT + 16, 0])
def test_signature_is_where_the_head_says(offset: int) -> None:
    raw = issue(TEMPLATE, ISSUER).raw
    moved = patched(raw, 12, struct.pack(">I", offset % len(raw)))
    with pytest.raises(InvalidMessage):
        parse_certificate(moved)


@pytest.mark.parametrize(
    ("offset", "number", "refusal"),
    [
        (0, 0x43484149 + 1, "does not begin with CHAI"),
        (4, 2, "does not begin with CHAI"),
        (8, 1, "length is 1"),
        (12, 1, "flags are 0x00000001"),
        (16, 0, "count is 0, expected 1 to 6"),
        (16, 7, "count is 7, expected 1 to 6"),
        (16, 2, "certificate 1 at offset"),
        (CHAIN_HEAD, 0, "certificate 0 does not begin with CERT"),
        (CHAIN_HEAD + 4, 0, "certificate 0 does not begin with CERT"),
        (CHAIN_HEAD + 8, 15, "certificate 0 at offset 20 of the chain says 15 bytes"),
        (CHAIN_HEAD + 8, 0xFFFFFFFF, "says 4294967295 bytes"),
        (CHAIN_HEAD + 12, 15, "length up to the signature is 15"),
        (CHAIN_HEAD + 12, 0xFFFFFFFF, "length up to the signature is 4294967295"),
    ],
)
def test_wrong_head_is_refused(offset: int, number: int, refusal: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_chain(patched(one_chain(), offset, struct.pack(">I", number)))
    assert refusal in caught.value.text


def test_bytes_after_the_last_certificate_are_refused() -> None:
    longer = one_chain() + b"\0"
    with pytest.raises(InvalidMessage, match="length is"):
        parse_chain(longer)
    with pytest.raises(InvalidMessage, match="1 bytes follow its last certificate"):
        parse_chain(patched(longer, 8, struct.pack(">I", len(longer))))


def test_chain_above_the_limit_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="65537 bytes, expected 20 to 65536"):
        parse_chain(bytes(65537))


def test_chain_has_at_most_six_certificates() -> None:
    chain: Chain | None = None
    for _ in range(6):
        chain = chain_under(issue(TEMPLATE, ISSUER), chain)
    assert chain is not None
    assert len(chain.certificates) == 6
    assert chain.certificates[0] is chain.leaf
    with pytest.raises(InvalidMessage, match="count is 7"):
        chain_under(issue(TEMPLATE, ISSUER), chain)


def test_invalid_template_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="count is 33"):
        issue(replace(TEMPLATE, features=(1,) * 33), ISSUER)
    with pytest.raises(InvalidMessage, match="is there twice"):
        issue(replace(TEMPLATE, objects=(bcert.Device(), bcert.Device())), ISSUER)


def test_deeply_nested_container_is_refused() -> None:
    data = b""
    for _ in range(3000):
        data = struct.pack(">HHI", 3, BY_KIND[bcert.ExtendedData].tag, len(data) + 8) + data
    with pytest.raises(InvalidMessage, match="must be understood"):
        parse_object(data, 0, len(data), "test")


def test_certificate_of_another_length_is_refused() -> None:
    data = issue(TEMPLATE, ISSUER).raw
    with pytest.raises(InvalidMessage, match="certificate: 15 bytes are too few for its head"):
        parse_certificate(data[:15])
    with pytest.raises(InvalidMessage, match=f"length is {len(data)}, expected {len(data) - 1}"):
        parse_certificate(data[:-1])


def test_signature_before_its_place_is_refused() -> None:
    basic, features, keys, signature = issue(TEMPLATE, ISSUER).objects
    data = build_certificate((basic, keys, signature, features))
    length = struct.unpack_from(">I", data, 12)[0]
    moved = patched(data, 12, struct.pack(">I", length + len(build_object(signature))))
    with pytest.raises(InvalidMessage, match="Signature object is not where the head says"):
        parse_certificate(moved)


def test_fingerprint_is_the_digest_in_base64() -> None:
    expected = base64.b64encode(hashlib.sha256(b"key").digest()).decode().rstrip("=")
    assert fingerprint(b"key") == f"SHA256:{expected}"
