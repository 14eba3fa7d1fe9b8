import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.pssh import (
    EMBEDDED_LICENSE_STORE,
    MAX_BYTES,
    PlayReadyObject,
    Pssh,
    Record,
    build_object,
    build_pssh,
    object_of,
    parse_object,
    parse_pssh,
)
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version, parse_header
from rightsmanager.protocol.wire import Kid

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "pssh.json").read_text("utf-8"))
OBJECTS, BOXES = VECTOR["objects"], VECTOR["boxes"]
HEADER = Header(Version.V4_3, (HeaderKid(Kid(bytes(range(16)))),))


def result(tests: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [test for test in tests if test["result"] == name]


def comment(test: dict[str, Any]) -> str:
    return str(test["comment"])


@pytest.mark.parametrize("test", result(OBJECTS, "valid"), ids=comment)
def test_objects_have_the_records_of_their_vectors(test: dict[str, Any]) -> None:
    data = b64decode(test["object"])
    parsed = parse_object(data)
    records = [[record.record_type, len(record.value)] for record in parsed.records]
    assert test["expect"]["records"] == records
    assert data == build_object(parsed)


@pytest.mark.parametrize("test", result(OBJECTS, "invalid"), ids=comment)
def test_invalid_objects_are_refused(test: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage, match="PlayReady Object"):
        parse_object(b64decode(test["object"]))


@pytest.mark.parametrize("test", result(BOXES, "valid"), ids=comment)
def test_boxes_have_the_values_of_their_vectors(test: dict[str, Any]) -> None:
    data = b64decode(test["box"])
    parsed = parse_pssh(data)
    actual = {
        "version": parsed.version,
        "kids": [kid.text for kid in parsed.kids],
        "header_kids": [key.kid.text for key in parsed.object.header.kids],
    }
    assert test["expect"] == actual
    assert data == build_pssh(parsed)


@pytest.mark.parametrize("test", result(BOXES, "invalid"), ids=comment)
def test_invalid_boxes_are_refused(test: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage, match=test["names"]):
        parse_pssh(b64decode(test["box"]))


@pytest.mark.parametrize("test", result(BOXES, "valid")[:2], ids=comment)
def test_published_boxes_are_rebuilt_from_their_keys(test: dict[str, Any]) -> None:
    data = b64decode(test["box"])
    parsed = parse_pssh(data)
    header = parsed.object.header
    anew = Header(header.version, header.kids, la_url=header.la_url)
    kids = tuple(Kid.from_text(kid) for kid in test["expect"]["kids"])
    assert data == build_pssh(Pssh(object_of(anew), kids, version=1))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_an_object_of_a_header_has_no_byte_order_mark(mark: str) -> None:
    header = parse_header(mark + object_of(HEADER).records[0].value.decode("utf-16-le"))
    assert object_of(HEADER) == object_of(header)
    assert object_of(header).header == HEADER


def test_an_object_without_a_header_is_refused() -> None:
    playready_object = PlayReadyObject((Record(EMBEDDED_LICENSE_STORE, b""),))
    assert playready_object.find(EMBEDDED_LICENSE_STORE) == b""
    with pytest.raises(InvalidMessage, match="WRMHEADER"):
        _ = playready_object.header


def test_an_object_has_at_most_15_kib() -> None:
    most = PlayReadyObject((Record(EMBEDDED_LICENSE_STORE, bytes(MAX_BYTES - 10)),))
    data = build_object(most)
    assert len(data) == MAX_BYTES
    assert most == parse_object(data)
    too_many = PlayReadyObject((Record(EMBEDDED_LICENSE_STORE, bytes(MAX_BYTES - 9)),))
    with pytest.raises(InvalidMessage, match="15361 bytes"):
        build_object(too_many)
    with pytest.raises(InvalidMessage, match="15361 bytes"):
        parse_object(data + b"\0")


@pytest.mark.parametrize(
    "record", [Record(-1, b""), Record(1 << 16, b""), Record(1, bytes(1 << 16))]
)
def test_a_record_that_is_too_long_is_refused(record: Record) -> None:
    with pytest.raises(InvalidMessage, match="does not fit"):
        build_object(PlayReadyObject((record,)))


def test_an_invalid_box_cannot_be_made() -> None:
    with pytest.raises(InvalidMessage, match="version"):
        Pssh(object_of(HEADER), version=2)
    with pytest.raises(InvalidMessage, match="KIDs"):
        Pssh(object_of(HEADER), (Kid(bytes(16)),))
