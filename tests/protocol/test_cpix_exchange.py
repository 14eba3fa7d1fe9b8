"""CPIX requests are filled in; the library `cpix` and an independent reader agree on the keys."""

from __future__ import annotations

import base64
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from rightsmanager.crypto.random import system_random
from rightsmanager.crypto.recipients import parse_own_recipient, parse_recipient
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.keylists.cpix_import import cpix
from rightsmanager.protocol.formats.packagers.cpix_encryption import WrappedKeys, draw_document_keys
from rightsmanager.protocol.formats.packagers.cpix_exchange import (
    VERSIONS,
    CpixRequest,
    RequestedKey,
    build_request,
    fill_request,
    open_request,
    parse_request,
)
from rightsmanager.protocol.formats.packagers.cpix_schema import refuse_invalid
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.formats.pssh import build_object, object_of, parse_object, parse_pssh
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version
from rightsmanager.protocol.wire import Kid
from tests.second import clients, cpix_documents, cpix_reader
from tests.second.cpix_documents import delivery, document, key, period, rule, system

if TYPE_CHECKING:
    from collections.abc import Callable

# The KIDs of the examples in the AWS documents of SPEKE.
VIDEO = "98ee5596-cd3e-a20d-163a-e382420c6eff"
AUDIO = "53abdba2-f210-43cb-bc90-f18f9a890a02"
CONTENT_KEY = bytes(range(16))


def protected(kid: str, scheme: str = "cenc") -> ProtectedKey:
    own = Kid.from_text(kid)
    header = Header(Version.V4_3, (HeaderKid(own, Algid.AESCTR),))
    return ProtectedKey(own, CONTENT_KEY, build_object(object_of(header)), scheme)


def fill(data: bytes, *kids: str, scheme: str = "cenc") -> bytes:
    request = parse_request(data)
    keys = [protected(kid, scheme) for kid in kids or (key.kid.text for key in request.keys)]
    filled = fill_request(request, keys)
    refuse_invalid(etree.fromstring(filled))
    return filled


def test_the_published_request_of_speke_2_is_read_and_filled_in() -> None:
    data = cpix_documents.speke_2("abc123", VIDEO, AUDIO, 7)
    request = parse_request(data)
    assert (request.content_id, request.version) == ("abc123", "2.3")
    slots = [each.slot for each in request.keys if each.slot]
    assert [(slot.program, slot.period) for slot in slots] == [
        ("abc123#VIDEO", 7),
        ("abc123#AUDIO", 7),
    ]
    assert [each.scheme for each in request.keys] == ["cbcs", "cbcs"]
    filled = fill(data, scheme="cbcs")
    assert cpix_reader.read(filled) == {
        kid: cpix_reader.Read(CONTENT_KEY, "cbcs") for kid in (VIDEO, AUDIO)
    }
    library = cpix.parse(filled)
    assert library.validate_content() == (True, [])
    assert [(each.kid, base64.b64decode(each.cek)) for each in library.content_keys] == [
        (uuid.UUID(VIDEO), CONTENT_KEY),
        (uuid.UUID(AUDIO), CONTENT_KEY),
    ]
    # Systems without data are left out.
    assert [(each.kid, each.system_id) for each in library.drm_systems] == [
        (uuid.UUID(VIDEO), cpix.PLAYREADY_SYSTEM_ID),
        (uuid.UUID(AUDIO), cpix.PLAYREADY_SYSTEM_ID),
    ]


def test_playready_is_announced_for_dash_hls_and_smooth() -> None:
    own = protected(VIDEO)
    (texts,) = cpix_reader.system_texts(fill(document(key(VIDEO), systems=(system(VIDEO),))))
    box = parse_pssh(base64.b64decode(texts["PSSH"]))
    assert box.object == parse_object(own.playready_object)
    pro = base64.b64encode(own.playready_object).decode()
    assert texts["SmoothStreamingProtectionHeaderData"] == pro
    dash = etree.fromstring(b"<x>" + base64.b64decode(texts["ContentProtectionData"]) + b"</x>")
    assert [(each.tag, each.text) for each in dash] == [
        ("{urn:mpeg:cenc:2013}pssh", texts["PSSH"]),
        ("{urn:microsoft:playready}pro", pro),
    ]
    uri = f"data:text/plain;charset=UTF-16;base64,{pro}"
    rest = (
        f'METHOD=SAMPLE-AES-CTR,URI="{uri}",KEYFORMAT="com.microsoft.playready",'
        'KEYFORMATVERSIONS="1"'
    )
    for playlist, tag in (("media", "#EXT-X-KEY"), ("master", "#EXT-X-SESSION-KEY")):
        line = base64.b64decode(texts[f"HLSSignalingData{playlist}"]).decode()
        assert line == f"{tag}:{rest}"


RECIPIENT = clients.recipient()


@pytest.mark.parametrize(
    "hidden",
    [delivery(RECIPIENT), key(AUDIO), system(AUDIO), rule(AUDIO, "AUDIO")],
    ids=["DeliveryData", "ContentKey", "DRMSystem", "ContentKeyUsageRule"],
)
def test_elements_outside_of_their_list_are_passed_over(hidden: str) -> None:
    end = "</ds:X509Data>"
    recipient = delivery(RECIPIENT).replace(end, hidden + end)
    request = parse_request(document(key(VIDEO), recipients=(recipient,)))
    encryption = draw_document_keys(request.recipients, clients.NOW, system_random)
    assert encryption is not None
    filled = fill_request(request, [protected(VIDEO)], (encryption, system_random))
    assert cpix_reader.read(filled, RECIPIENT.key)[VIDEO].key == CONTENT_KEY


def test_speke_1_has_elements_of_its_own() -> None:
    request = parse_request(cpix_documents.speke_1("5E99137A", VIDEO, 3))
    assert request.content_id == "5E99137A"
    (asked,) = request.keys
    assert asked.slot
    assert (asked.slot.program, asked.slot.period, asked.scheme) == ("5E99137A", 3, None)
    elements = (
        "<cpix:URIExtXKey/><speke:ProtectionHeader/><speke:KeyFormat/><speke:KeyFormatVersions/>"
    )
    data = document(key(VIDEO, ""), systems=(system(VIDEO, elements),), attributes='id="a1"')
    (texts,) = cpix_reader.system_texts(fill(data))
    assert base64.b64decode(texts["KeyFormat"]) == b"com.microsoft.playready"
    assert base64.b64decode(texts["KeyFormatVersions"]) == b"1"
    assert base64.b64decode(texts["URIExtXKey"]).startswith(b"data:text/plain;charset=UTF-16")
    assert parse_object(base64.b64decode(texts["ProtectionHeader"])).header


@pytest.mark.parametrize(
    "spelling",
    [
        cpix_documents.PLAYREADY.upper(),
        f"{{{cpix_documents.PLAYREADY}}}",
        f"urn:uuid:{cpix_documents.PLAYREADY}",
        cpix_documents.PLAYREADY.replace("-", ""),
    ],
)
def test_system_ids_have_several_spellings(spelling: str) -> None:
    data = document(key(VIDEO), systems=(system(VIDEO, "<cpix:PSSH/>", spelling),))
    (texts,) = cpix_reader.system_texts(fill(data))
    assert list(texts) == ["PSSH"]


def test_without_systems_or_elements_all_are_filled_in_and_others_left_out() -> None:
    for data in (document(key(VIDEO)), document(key(VIDEO), systems=(system(VIDEO, ""),))):
        (texts,) = cpix_reader.system_texts(fill(data))
        assert len(texts) == 5
    data = document(key(VIDEO), systems=(system(VIDEO, "<cpix:PSSH/><cpix:HDSSignalingData/>"),))
    assert [list(each) for each in cpix_reader.system_texts(fill(data))] == [["PSSH"]]


def test_another_kid_replaces_the_requests_everywhere_and_spellings_stay() -> None:
    data = document(key(VIDEO.upper()), systems=(system(VIDEO),), rules=(rule(VIDEO, "SD"),))
    assert f'kid="{VIDEO.upper()}"'.encode() in fill(data)
    filled = fill(data, AUDIO)
    assert VIDEO.encode() not in filled.lower()
    assert filled.count(AUDIO.encode()) == 3


def test_a_key_may_depend_on_a_root() -> None:
    data = document(key(VIDEO, f'dependsOnKey="{AUDIO}"'), key(AUDIO))
    leaf, root = parse_request(data).keys
    assert (leaf.root, root.root) == (root.kid, None)
    assert leaf.slot
    assert root.slot
    assert (leaf.slot.program, root.slot.program) == ("abc123", "abc123#root")
    other = "00000000-0000-4000-8000-000000000002"
    filled = fill_request(parse_request(data), [protected(VIDEO), protected(other)])
    assert filled.count(other.encode()) == 3
    assert AUDIO.encode() not in filled


def test_a_key_and_an_iv_of_the_request() -> None:
    value = base64.b64encode(bytes(16)).decode()
    attributes = 'commonEncryptionScheme="SAMPLE-AES" explicitIV="OFj2IjCsPJFfMAxmQxLGPw=="'
    data = document(key(VIDEO, attributes, value))
    (asked,) = parse_request(data).keys
    assert (asked.key, asked.scheme) == (bytes(16), "cbcs")
    assert asked.iv == base64.b64decode("OFj2IjCsPJFfMAxmQxLGPw==")


def test_the_path_may_name_the_program() -> None:
    (asked,) = parse_request(document(key(VIDEO)), "movie").keys
    assert asked.slot
    assert asked.slot.program == "movie"
    (asked,) = parse_request(document(key(VIDEO), attributes="")).keys
    assert asked.slot is None


@pytest.mark.parametrize("version", VERSIONS)
def test_documents_of_every_version_are_built_and_read(version: str) -> None:
    keys = [
        ProtectedKey(each.kid, each.key, each.playready_object, "cenc", None, track, number)
        for each, track, number in (
            (protected(VIDEO), "SD", 0),
            (protected(AUDIO), "", 1),
            (protected("00000000-0000-4000-8000-000000000001"), "", None),
        )
    ]
    request = parse_request(build_request("a program", keys, version))
    request = CpixRequest(request.raw, request.content_id, version, request.keys)
    filled = fill_request(request, keys)
    refuse_invalid(etree.fromstring(filled))
    scheme = "cenc" if version in {"2.3", "2.4"} else None
    assert cpix_reader.read(filled)[VIDEO] == cpix_reader.Read(CONTENT_KEY, scheme)
    assert [each.index for each in cpix.parse(filled).periods] == [0, 1]


def test_each_recipient_opens_an_encrypted_document() -> None:
    first, second = clients.recipient("key_encipherment"), clients.recipient()
    data = document(
        *(key(VIDEO), key(AUDIO)),
        recipients=(delivery(first), delivery(second)),
        systems=(system(VIDEO),),
    )
    request = parse_request(data)
    encryption = draw_document_keys(request.recipients, clients.NOW, system_random)
    assert encryption
    keys = [protected(VIDEO), protected(AUDIO)]
    filled = fill_request(request, keys, (encryption, system_random))
    refuse_invalid(etree.fromstring(filled))
    assert CONTENT_KEY not in filled
    assert base64.b64encode(CONTENT_KEY) not in filled
    for recipient in (first, second):
        found = cpix_reader.read(filled, recipient.key)
        assert {read.key for read in found.values()} == {CONTENT_KEY}
    # The library reads the parts of it.
    library = cpix.parse(filled)
    assert len(library.delivery_datas) == 2
    assert all(each.mac_method.cipher_value for each in library.delivery_datas)
    assert all(each.value_mac for each in library.content_keys)
    # A document that has all elements is filled in like one that lacks them.
    again = parse_request(_without_keys(filled))
    assert len(again.recipients) == 2
    refilled = fill_request(again, keys, (encryption, system_random))
    assert cpix_reader.read(refilled, second.key)[AUDIO].key == CONTENT_KEY


def _without_keys(filled: bytes) -> bytes:
    root = etree.fromstring(filled)
    for data in root.findall("c:ContentKeyList/c:ContentKey/c:Data", cpix_reader.N):
        parent = data.getparent()
        assert parent is not None
        parent.remove(data)
    return etree.tostring(root)


def test_the_ids_of_recipients_need_not_be_xml_names() -> None:
    with_id = delivery(clients.CA).replace("<cpix:DeliveryData ", '<cpix:DeliveryData id="1 a" ')
    request = parse_request(document(key(VIDEO), recipients=(with_id,)))
    assert request.recipients == (clients.CA.der,)
    assert b'id="1 a"' in request.raw


def test_a_document_without_recipients_is_in_the_clear() -> None:
    clear = parse_request(document(key(VIDEO)))
    assert draw_document_keys(clear.recipients, 0, system_random) is None


def test_a_key_without_its_padding_is_not_shown() -> None:
    unpadded = base64.b64encode(CONTENT_KEY).decode().rstrip("=")
    with pytest.raises(InvalidMessage, match="PlainValue': the value is not a valid") as refused:
        parse_request(document(key(VIDEO, "", unpadded)))
    assert unpadded not in refused.value.text


BOMB = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "it is empty"),
        (b"<", "is not well-formed XML"),
        (BOMB, "has a document type declaration"),
        (b"<a/>", "the root element is a"),
        (b"<a>" + b"<b/>" * 9000 + b"</a>", "9002 tags, expected at most 8192"),
        (b"\xff\xfe\xff", "is not utf-16"),
        (document(), "ContentKeyList has no ContentKey"),
        (document(key(VIDEO), "<cpix:Wrong/>"), "does not fit the schema"),
        (document(key(VIDEO, 'other="1"')), "does not fit the schema"),
        (document(key(VIDEO), attributes='version="3.0"'), "@version is '3.0'"),
        (document(key(VIDEO), key(VIDEO.upper())), f"has KID {VIDEO} twice"),
        (document(key("x")), "KID is 'x', expected a GUID"),
        (document(key(VIDEO, f'dependsOnKey="{AUDIO}"')), "which is not in the document"),
        (document(key(VIDEO, f'dependsOnKey="{VIDEO}"')), "which depends on a key itself"),
        (document(key(VIDEO, 'commonEncryptionScheme="aes-128"')), "is 'aes-128', expected"),
        (document(key(VIDEO, 'explicitIV="AAAA"')), "has 3 bytes, expected 8 or 16"),
        (document(key(VIDEO, "", "AAAA")), "PlainValue of KID"),
        (document(key(VIDEO), systems=(system(AUDIO),)), f"DRMSystem has KID {AUDIO}, expected"),
        (document(key(VIDEO), rules=(rule(AUDIO, "SD"),)), f"UsageRule has KID {AUDIO}"),
        (document(key(VIDEO), systems=(system(VIDEO, "", "x"),)), "@systemId is 'x', expected"),
        (
            document(key(VIDEO), systems=(system(VIDEO, "", VIDEO),)),
            f"@systemId is '{VIDEO}', expected",
        ),
        (document(key(VIDEO), rules=(rule(VIDEO, "SD", "missing"),)), "has periodId 'missing'"),
        (
            document(key(VIDEO), recipients=(delivery(clients.CA),) * 17),
            "17 recipients, expected at most 16",
        ),
        (
            document(key(VIDEO), periods=(period("a", 1), period("a", 2))),
            "does not fit the schema",
        ),
        (
            document(
                key(VIDEO).replace(
                    "></cpix:ContentKey>",
                    "><cpix:Data><pskc:Secret><pskc:EncryptedValue "
                    'xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:CipherData>'
                    "<e:CipherValue>AAAA</e:CipherValue></e:CipherData></pskc:EncryptedValue>"
                    "</pskc:Secret></cpix:Data></cpix:ContentKey>",
                )
            ),
            f"the algorithm of EncryptedValue of KID {VIDEO} is ''",
        ),
    ],
)
def test_invalid_requests_are_refused(data: bytes, told: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        parse_request(data)
    assert told in refused.value.text


@pytest.fixture(scope="module")
def server() -> clients.Identity:
    return clients.recipient("key_encipherment")


def encrypted_to(recipients: tuple[clients.Identity, ...], *, length: int = 16) -> bytes:
    """Return a document with encrypted keys, as this server and others make it."""
    deliveries = tuple(map(delivery, recipients))
    request = parse_request(document(key(VIDEO), recipients=deliveries))
    drawn = draw_document_keys(request.recipients, clients.NOW, system_random)
    assert drawn
    sent = replace(protected(VIDEO), key=bytes(range(length)))
    return fill_request(request, [sent], (drawn, system_random))


def test_encrypted_keys_of_a_request_are_opened(server: clients.Identity) -> None:
    own = parse_own_recipient(server.key_pem)
    request = parse_request(encrypted_to((clients.recipient(), server)))
    (asked,) = open_request(request, own).keys
    assert (asked.key, asked.encrypted) == (CONTENT_KEY, None)
    mixed = replace(request, keys=(*request.keys, RequestedKey(Kid.from_text(AUDIO), None)))
    assert [each.key for each in open_request(mixed, own).keys] == [CONTENT_KEY, None]
    clear = parse_request(document(key(VIDEO)))
    assert open_request(clear, None) is clear


def test_encrypted_keys_that_do_not_open_are_refused(server: clients.Identity) -> None:
    own = parse_own_recipient(server.key_pem)
    request = parse_request(encrypted_to((server,)))
    foreign = parse_request(encrypted_to((clients.recipient(),)))
    (asked,) = request.keys
    assert asked.encrypted
    altered = replace(asked, encrypted=asked.encrypted._replace(mac=bytes(64)))
    recipient = parse_recipient(server.der, clients.NOW)
    short = WrappedKeys(recipient.wrap(bytes(16)), recipient.wrap(bytes(64)))
    for given, by, told in (
        (request, None, "packaging.recipient_file is not set"),
        (foreign, own, "no DeliveryData has a document key"),
        (replace(request, deliveries=()), own, "no DeliveryData has a document key"),
        (replace(request, deliveries=(short,)), own, "no DeliveryData has a document key"),
        (replace(request, keys=(altered,)), own, "ValueMAC of KID"),
        (parse_request(encrypted_to((server,), length=15)), own, "has 15 bytes, expected 16"),
    ):
        with pytest.raises(InvalidMessage, match=told):
            open_request(given, by)


def test_published_requests_name_programs_periods_and_tracks(
    vectors: Callable[[str], Any],
) -> None:
    requests = vectors("key_requests")["requests"]
    documents = [each for each in requests if "CPIX" in (each["body"] or "")]
    assert len(documents) >= 7
    for each in documents:
        found = []
        for asked in parse_request(each["body"].encode()).keys:
            assert asked.slot is not None
            found.append((asked.slot.program, asked.slot.period, asked.track))
        expected = [(one["program"], one["period"], one["track"]) for one in each["keys"]]
        assert found == expected, each["source"]
