import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.pssh import (
    PlayReadyObject,
    Pssh,
    Record,
    build_object,
    build_pssh,
    parse_object,
    parse_pssh,
)
from rightsmanager.protocol.wire import Kid

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "pssh.json").read_text("utf-8"))
OBJECTS = [b64decode(test["object"]) for test in VECTOR["objects"] if test["object"]]
BOXES = [b64decode(test["box"]) for test in VECTOR["boxes"]]

RECORDS = st.builds(Record, st.integers(0, 0xFFFF), st.binary(max_size=50))
PLAYREADY_OBJECTS = st.builds(PlayReadyObject, st.lists(RECORDS, max_size=4).map(tuple))
KIDS = st.lists(st.builds(Kid, st.binary(min_size=16, max_size=16)), max_size=3).map(tuple)
PSSHS = st.builds(Pssh, PLAYREADY_OBJECTS) | st.builds(
    Pssh, PLAYREADY_OBJECTS, KIDS, version=st.just(1)
)


def keep_or_refuse_object(data: bytes) -> None:
    try:
        parsed = parse_object(data)
    except InvalidMessage:
        return
    assert data == build_object(parsed)


def keep_or_refuse_pssh(data: bytes) -> None:
    try:
        parsed = parse_pssh(data)
    except InvalidMessage:
        return
    assert data == build_pssh(parsed)


CASES = st.one_of(
    st.tuples(st.just(keep_or_refuse_object), st.sampled_from(OBJECTS)),
    st.tuples(st.just(keep_or_refuse_pssh), st.sampled_from(BOXES)),
)


@given(PLAYREADY_OBJECTS)
def test_objects_that_are_built_parse_to_the_same(expected: PlayReadyObject) -> None:
    assert expected == parse_object(build_object(expected))


@given(PSSHS)
def test_boxes_that_are_built_parse_to_the_same(expected: Pssh) -> None:
    assert expected == parse_pssh(build_pssh(expected))


@given(CASES, st.integers(0, 1 << 16), st.integers(0, 255))
def test_an_altered_byte_is_refused_or_kept(
    case: tuple[Callable[[bytes], None], bytes], position: int, value: int
) -> None:
    keep_or_refuse, data = case
    position %= min(len(data), 80)
    keep_or_refuse(data[:position] + bytes([value]) + data[position + 1 :])


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_or_kept(data: bytes) -> None:
    keep_or_refuse_object(data)
    keep_or_refuse_object((len(data) + 4).to_bytes(4, "little") + data)
    keep_or_refuse_pssh((len(data) + 28).to_bytes(4, "big") + BOXES[0][4:28] + data)


def test_every_truncation_is_refused_or_kept() -> None:
    for data in OBJECTS[:2]:
        for end in range(len(data)):
            keep_or_refuse_object(data[:end])
    for data in BOXES[:2]:
        for end in range(len(data)):
            keep_or_refuse_pssh(data[:end])
