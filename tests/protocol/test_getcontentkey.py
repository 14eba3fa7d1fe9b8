"""Widevine's Common Encryption API and nginx-vod-module's JSON, as their documents show them."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from rightsmanager.protocol.formats.packagers import nginx_vod
from rightsmanager.protocol.formats.packagers.getcontentkey import (
    ContentKeyRequest,
    InvalidKeyRequest,
    build_refusal,
    build_reply,
    build_request,
    parse_request,
)
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.formats.pssh import build_object, object_of
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version
from rightsmanager.protocol.wire import Kid

KID = Kid.from_text("00112233-4455-6677-8899-aabbccddeeff")
PRO = build_object(object_of(Header(Version.V4_0, (HeaderKid(KID, Algid.AESCTR),))))
KEY = ProtectedKey(KID, bytes(range(16)), PRO, track="SD")
TRACKS = [{"type": "SD"}, {"type": "HD"}, {"type": "AUDIO"}]
# The facts of the example in the API's document: a content id and three tracks.
PUBLISHED = {
    "content_id": base64.b64encode(b"FEBC5A3A").decode(),
    "policy": "default",
    "tracks": TRACKS,
    "drm_types": ["WIDEVINE"],
}


def wrap(inner: object, **more: object) -> bytes:
    text = inner if isinstance(inner, bytes) else json.dumps(inner).encode()
    return json.dumps({"request": base64.b64encode(text).decode(), **more}).encode()


def opened(reply: bytes) -> Any:  # noqa: ANN401 -- JSON
    return json.loads(base64.b64decode(json.loads(reply)["response"]))


def test_the_published_request_is_read() -> None:
    given = wrap(PUBLISHED, signature="c2ln", signer="widevine_test")
    assert parse_request(given) == ContentKeyRequest(b"FEBC5A3A", ("SD", "HD", "AUDIO"))


@pytest.mark.parametrize(
    ("named", "scheme"),
    [
        (None, None),
        (0, None),
        ("UNSPECIFIED", None),
        ("CENC", "cenc"),
        ("cbcs", "cbcs"),
        (1667392371, "cbcs"),
        (0x63656E73, "cens"),
    ],
)
def test_schemes_have_names_and_numbers(named: object, scheme: str | None) -> None:
    assert parse_request(wrap({**PUBLISHED, "protection_scheme": named})).scheme == scheme


@pytest.mark.parametrize(
    "request_",
    [
        ContentKeyRequest(b"movie", ("SD",)),
        ContentKeyRequest(b"\xff", ("SD", "AUDIO"), "cbc1"),
        ContentKeyRequest(b"live", ("UHD1",), "cens", 7, 3),
    ],
)
def test_built_requests_are_read(request_: ContentKeyRequest) -> None:
    assert parse_request(build_request(request_)) == request_


def test_numbers_may_be_text_as_protobufs_json_has_them() -> None:
    given = {**PUBLISHED, "first_crypto_period_index": "4", "crypto_period_count": "2"}
    request = parse_request(wrap(given))
    assert (request.first_period, request.period_count) == (4, 2)


def test_the_program_is_text_or_hexadecimal_digits() -> None:
    for content_id, program in (
        ("film é".encode(), "film é"),
        (b"\xff\x00", "ff00"),
        (b"a\0b", "610062"),
    ):
        assert ContentKeyRequest(content_id, ("SD",)).program == program


@pytest.mark.parametrize(
    ("data", "told", "status"),
    [
        (b"", "the body is not JSON", "MALFORMED_REQUEST"),
        (b"[" * 100_000, "the body is not JSON", "MALFORMED_REQUEST"),
        (b"[]", "the body is a JSON list", "MALFORMED_REQUEST"),
        (b"{}", "the body has no request", "MALFORMED_REQUEST"),
        (b'{"request": 1}', "the body has no request", "MALFORMED_REQUEST"),
        (b'{"request": "*"}', "request is not base64", "MALFORMED_REQUEST"),
        (b'{"request": "\\u00e9"}', "request is not base64", "MALFORMED_REQUEST"),
        (wrap([]), "request is a JSON list", "MALFORMED_REQUEST"),
        (wrap({"tracks": TRACKS}), "has no content_id", "CONTENT_ID_MISSING"),
        (wrap({"content_id": ""}), "content_id has 0 bytes", "CONTENT_ID_MISSING"),
        (
            wrap({**PUBLISHED, "content_id": "A" * 800}),
            "content_id has 600 bytes",
            "CONTENT_ID_MISSING",
        ),
        (wrap({**PUBLISHED, "tracks": None}), "has 0 tracks", "TRACK_TYPE_MISSING"),
        (wrap({**PUBLISHED, "tracks": []}), "has 0 tracks, expected", "TRACK_TYPE_MISSING"),
        (wrap({**PUBLISHED, "tracks": TRACKS * 22}), "a list of 1 to 64", "TRACK_TYPE_MISSING"),
        (
            wrap({**PUBLISHED, "tracks": ["SD"]}),
            "type is 'None', expected a name",
            "TRACK_TYPE_MISSING",
        ),
        (wrap({**PUBLISHED, "tracks": [{"type": ""}]}), "type is ''", "TRACK_TYPE_MISSING"),
        (wrap({**PUBLISHED, "protection_scheme": 5}), "is '5'", "MALFORMED_REQUEST"),
        (wrap({**PUBLISHED, "protection_scheme": []}), r"is '\[\]'", "MALFORMED_REQUEST"),
        (wrap({**PUBLISHED, "protection_scheme": "aes"}), "is 'aes'", "MALFORMED_REQUEST"),
        (wrap({**PUBLISHED, "crypto_period_count": 0}), "is '0'", "MALFORMED_REQUEST"),
        (wrap({**PUBLISHED, "first_crypto_period_index": -1}), "is '-1'", "MALFORMED_REQUEST"),
        (wrap({**PUBLISHED, "first_crypto_period_index": "x"}), "is 'x'", "MALFORMED_REQUEST"),
        (wrap({**PUBLISHED, "first_crypto_period_index": 1.5}), "is '1.5'", "MALFORMED_REQUEST"),
    ],
)
def test_invalid_requests_are_refused_with_a_status(data: bytes, told: str, status: str) -> None:
    with pytest.raises(InvalidKeyRequest, match=told) as refused:
        parse_request(data)
    assert refused.value.status_name == status


def test_a_reply_has_the_kid_in_the_order_of_its_text() -> None:
    request = ContentKeyRequest(b"movie", ("SD",))
    reply = opened(build_reply(request, [KEY]))
    assert reply["status"] == "OK"
    assert reply["drm"] == [{"type": "PLAYREADY", "system_id": "9a04f07998404286ab92e65be0885f95"}]
    (track,) = reply["tracks"]
    assert base64.b64decode(track["key_id"]) == uuid.UUID(KID.text).bytes
    assert base64.b64decode(track["key"]) == KEY.key
    (system,) = track["pssh"]
    assert base64.b64decode(system["data"]) == PRO
    assert base64.b64decode(system["boxes"]).endswith(PRO)
    assert {"iv", "crypto_period_index"}.isdisjoint(track)


def test_a_reply_may_have_an_iv_and_a_period() -> None:
    key = ProtectedKey(KID, KEY.key, PRO, iv=bytes(8), track="HD", period=3)
    (track,) = opened(build_reply(ContentKeyRequest(b"m", ("HD",)), [key]))["tracks"]
    assert (track["iv"], track["crypto_period_index"]) == ("AAAAAAAAAAA=", 3)


def test_a_refusal_has_a_status_and_a_text() -> None:
    assert opened(build_refusal("ACCESS_DENIED", "no")) == {
        "status": "ACCESS_DENIED",
        "status_message": "no",
    }


def test_nginx_vod_module_gets_a_list() -> None:
    (entry,) = json.loads(nginx_vod.build_reply([KEY]))
    assert entry == {
        "pssh": [
            {
                "uuid": "9a04f079-9840-4286-ab92-e65be0885f95",
                "data": base64.b64encode(PRO).decode(),
            }
        ],
        "key": base64.b64encode(KEY.key).decode(),
        "key_id": base64.b64encode(uuid.UUID(KID.text).bytes).decode(),
    }
    key = ProtectedKey(KID, KEY.key, PRO, iv=bytes(16))
    (entry,) = json.loads(nginx_vod.build_reply([key]))
    assert base64.b64decode(entry["iv"]) == bytes(16)
