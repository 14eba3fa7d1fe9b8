import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.wrmheader import (
    Algid,
    Header,
    HeaderKid,
    Version,
    build_header,
    canonical_header,
    checksum,
    parse_custom_attributes,
    parse_header,
    parse_header_element,
    verify_checksum,
)
from rightsmanager.protocol.wire import HEADER, Kid, ServiceId

VECTORS = Path(__file__).parents[1] / "vectors"
VECTOR = json.loads((VECTORS / "wrmheader.json").read_text("utf-8"))
KEYSEED = json.loads((VECTORS / "keyseed.json").read_text("utf-8"))
CHALLENGES = json.loads((VECTORS / "acquire_license.json").read_text("utf-8"))["tests"]
VALID = [test for test in VECTOR["tests"] if test["result"] == "valid"]
INVALID = [test for test in VECTOR["tests"] if test["result"] == "invalid"]

KID = Kid(bytes(range(16)))
OTHER_KID = Kid(bytes(range(1, 17)))


def comment(test: dict[str, Any]) -> str:
    return str(test["comment"])


def facts(header: Header) -> dict[str, Any]:
    """Return a header in the form of the vectors."""
    return {
        "version": header.version,
        "kids": [
            {
                "kid": key.kid.base64,
                "algid": key.algid,
                "checksum": key.checksum,
            }
            for key in header.kids
        ],
        "la_url": header.la_url,
        "lui_url": header.lui_url,
        "ds_id": header.ds_id.base64 if header.ds_id else None,
        "custom_attributes": header.custom_attributes,
        "decryptor_setup": header.decryptor_setup,
        "license_requested": header.license_requested,
    }


def expected_facts(test: dict[str, Any]) -> dict[str, Any]:
    kids = [
        key | {"checksum": key["checksum"] and b64decode(key["checksum"])}
        for key in test["expect"]["kids"]
    ]
    expected: dict[str, Any] = test["expect"] | {"kids": kids}
    return expected


@pytest.mark.parametrize("test", VALID, ids=comment)
def test_headers_have_the_values_of_their_vectors(test: dict[str, Any]) -> None:
    assert expected_facts(test) == facts(parse_header(test["header"]))


@pytest.mark.parametrize("test", VALID, ids=comment)
def test_a_received_text_is_returned_unchanged(test: dict[str, Any]) -> None:
    assert test["header"] == build_header(parse_header(test["header"]))


@pytest.mark.parametrize("test", VALID, ids=comment)
def test_the_canonical_text_parses_to_the_same_header(test: dict[str, Any]) -> None:
    header = parse_header(test["header"])
    canonical = canonical_header(header)
    assert header == parse_header(canonical)
    element = etree.fromstring(canonical)
    assert canonical.encode() == etree.tostring(element, method="c14n")
    if test.get("canonical"):
        assert test["header"] == canonical


@pytest.mark.parametrize("test", VALID, ids=comment)
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-16-le", ""), ("utf-16-le", "\ufeff"), ("utf-8", ""), ("utf-8", "\ufeff")],
)
def test_every_encoding_is_read_alike(test: dict[str, Any], encoding: str, mark: str) -> None:
    data = (mark + test["header"]).encode(encoding)
    header = parse_header(data)
    assert parse_header(test["header"]) == header
    assert data == build_header(header).encode(encoding)


@pytest.mark.parametrize("test", VALID, ids=comment)
def test_an_element_among_other_namespaces_is_read_alike(test: dict[str, Any]) -> None:
    header = parse_header(test["header"])
    text = f'<LA xmlns="urn:other" xml:space="preserve"> {canonical_header(header)} </LA>'
    assert header == parse_header_element(etree.fromstring(text)[0])


@pytest.mark.parametrize("test", INVALID, ids=comment)
def test_refusals_name_the_element(test: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage, match=test["names"]):
        parse_header(test["header"])


@pytest.mark.parametrize("data", [b"\xff\xfe\0", b"<\0\0\xd8", b"\xff<", b"", "<\ud800"], ids=repr)
def test_invalid_text_is_refused(data: bytes | str) -> None:
    with pytest.raises(InvalidMessage, match="WRMHEADER"):
        parse_header(data)


@pytest.mark.parametrize(
    "test", [test for test in CHALLENGES if "kids" in test.get("expect", {})], ids=comment
)
def test_the_headers_of_challenges_are_read_where_they_stand(test: dict[str, Any]) -> None:
    root = etree.fromstring(test["challenge"].encode())
    header = parse_header_element(next(root.iter(f"{{{HEADER}}}WRMHEADER")))
    assert test["expect"]["kids"] == [key.kid.text for key in header.kids]
    assert header.source is None


def test_a_changed_header_becomes_canonical() -> None:
    header = parse_header(VALID[4]["header"])
    changed = replace(header, la_url="http://rm.contoso.com/?a&b")
    assert header.source == VALID[4]["header"]
    assert changed.source is None
    assert "<LA_URL>http://rm.contoso.com/?a&amp;b</LA_URL>" in build_header(changed)
    assert changed == parse_header(build_header(changed))


def test_a_header_of_every_element_is_written_in_order() -> None:
    header = Header(
        Version.V4_3,
        (HeaderKid(KID, Algid.AESCTR, b"checksum"), HeaderKid(OTHER_KID, None)),
        la_url="a",
        lui_url="b",
        ds_id=ServiceId(KID.raw),
        custom_attributes='<CUSTOMATTRIBUTES x="y"><z></z></CUSTOMATTRIBUTES>',
        decryptor_setup="ONDEMAND",
        license_requested=False,
    )
    expected = (
        f'<WRMHEADER xmlns="{HEADER}" version="4.3.0.0"><DATA>'
        '<PROTECTINFO LICENSEREQUESTED="false"><KIDS>'
        '<KID ALGID="AESCTR" CHECKSUM="Y2hlY2tzdW0=" VALUE="AAECAwQFBgcICQoLDA0ODw=="></KID>'
        '<KID VALUE="AQIDBAUGBwgJCgsMDQ4PEA=="></KID></KIDS></PROTECTINFO>'
        "<LA_URL>a</LA_URL><LUI_URL>b</LUI_URL><DS_ID>AAECAwQFBgcICQoLDA0ODw==</DS_ID>"
        '<CUSTOMATTRIBUTES xmlns="" x="y"><z></z></CUSTOMATTRIBUTES>'
        "<DECRYPTORSETUP>ONDEMAND</DECRYPTORSETUP></DATA></WRMHEADER>"
    )
    assert expected == build_header(header)
    assert header == parse_header(expected)


def test_unknown_elements_are_kept_in_the_canonical_text() -> None:
    text = (
        f'<WRMHEADER xmlns="{HEADER}" version="4.3.0.0"><DATA><PROTECTINFO><KIDS>'
        f'<KID VALUE="{KID.base64}"></KID></KIDS></PROTECTINFO>'
        '<NEW a="b"><OLD></OLD></NEW><NEW xmlns=""></NEW>'
        '<x:NEW xmlns="" xmlns:x="urn:x"><NEW></NEW></x:NEW>'
        '<NEW xmlns="urn:y"></NEW></DATA></WRMHEADER>'
    )
    header = parse_header(text)
    assert text == canonical_header(header)
    assert (
        f'<NEW xmlns="{HEADER}" a="b"><OLD></OLD></NEW>',
        "<NEW></NEW>",
        '<x:NEW xmlns:x="urn:x"><NEW></NEW></x:NEW>',
        '<NEW xmlns="urn:y"></NEW>',
    ) == header.others


@pytest.mark.parametrize(
    ("version", "kids"),
    [
        (Version.V4_0, ()),
        (Version.V4_3, (HeaderKid(KID, Algid.AESCTR), HeaderKid(OTHER_KID, Algid.AESCBC))),
        (Version.V4_3, (HeaderKid(KID), HeaderKid(KID))),
        (Version.V4_1, (HeaderKid(KID), HeaderKid(OTHER_KID))),
        (Version.V4_0, (HeaderKid(KID, Algid.AESCBC),)),
        (Version.V4_2, (HeaderKid(KID, None),)),
    ],
)
def test_an_invalid_header_cannot_be_made(version: Version, kids: tuple[HeaderKid, ...]) -> None:
    with pytest.raises(InvalidMessage, match="WRMHEADER"):
        Header(version, kids)


@pytest.mark.parametrize("test", KEYSEED["tests"], ids=lambda test: test["kid"])
def test_published_checksums_are_those_of_their_keys(test: dict[str, Any]) -> None:
    kid, key = Kid.from_base64(test["kid"]), bytes.fromhex(test["content_key_hex"])
    expected = b64decode(test["checksum"])
    assert expected == checksum(Algid.AESCTR, key, kid)
    verify_checksum(HeaderKid(kid, Algid.AESCTR, expected), key)
    verify_checksum(HeaderKid(kid, None, expected), key)


@pytest.mark.parametrize("test", VECTOR["checksums"])
def test_checksums_of_other_algorithms(test: dict[str, Any]) -> None:
    kid, key = Kid.from_base64(test["kid"]), bytes.fromhex(test["content_key_hex"])
    expected = b64decode(test["checksum"]) if test["checksum"] else None
    assert expected == checksum(Algid(test["algid"]), key, kid)
    verify_checksum(HeaderKid(kid, Algid(test["algid"]), expected), key)


def test_the_checksum_of_another_key_is_refused() -> None:
    key = HeaderKid(KID, Algid.AESCTR, checksum(Algid.AESCTR, bytes(16), KID))
    with pytest.raises(InvalidMessage, match="CHECKSUM"):
        verify_checksum(key, bytes(range(16)))


def test_custom_attributes_are_any_xml() -> None:
    xml = parse_custom_attributes('<a b="c"/>text')
    assert xml == '<CUSTOMATTRIBUTES><a b="c"></a>text</CUSTOMATTRIBUTES>'
    for wrong in ("<a>", "\ud800"):
        with pytest.raises(InvalidMessage, match="CUSTOMATTRIBUTES"):
            parse_custom_attributes(wrong)


@pytest.mark.parametrize("test", VALID, ids=comment)
def test_a_checksum_of_another_length_is_warned_of(test: dict[str, Any]) -> None:
    warnings = parse_header(test["header"]).warnings
    assert bool(warnings) is test.get("warns", False)
    assert all("CHECKSUM of KID" in each and "expected" in each for each in warnings)


def test_a_checksum_of_another_length_does_not_verify() -> None:
    with pytest.raises(InvalidMessage, match="has 7 bytes, expected 8 for ALGID AESCTR"):
        verify_checksum(HeaderKid(KID, None, bytes(7)), bytes(16))
    verify_checksum(HeaderKid(KID, Algid.AESCBC, bytes(8)), bytes(16))
