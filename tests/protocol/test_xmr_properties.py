import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr import (
    License,
    build_license,
    build_signed,
    parse_license,
    verify_signature,
)
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.formats.xmr.table import BY_TYPE, LAYOUTS
from rightsmanager.protocol.wire import AccountId, Guid, Kid, Mid

VECTORS = Path(__file__).parents[1] / "vectors"
PUBLISHED = json.loads((VECTORS / "xmr_published.json").read_text("utf-8"))
BOUND = json.loads((VECTORS / "xmr_bound.json").read_text("utf-8"))
LICENSES = [b64decode(test["license"]) for test in (PUBLISHED, *BOUND["tests"])]

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
SIXTEEN = st.binary(min_size=16, max_size=16)
SHORT = st.binary(max_size=40)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "account_id": st.builds(AccountId, SIXTEEN),
    "analog_video": U16,
    "behavior": U16,
    "checksum_type": U16,
    "cipher": U16,
    "cmac": SIXTEEN,
    "compressed_digital_audio": U16,
    "compressed_digital_video": U16,
    "id": st.builds(Guid, SIXTEEN),
    "key": st.binary(min_size=64, max_size=64),
    "key_type": U16,
    "kid": st.builds(Kid, SIXTEEN),
    "level": U16,
    "mid": st.builds(Mid, SIXTEEN),
    "root_kid": st.builds(Kid, SIXTEEN),
    "settings": U16,
    "source_ids": st.lists(U32, max_size=3).map(tuple),
    "uncompressed_digital_audio": U16,
    "uncompressed_digital_video": U16,
    "wrapped": SIXTEEN,
} | dict.fromkeys(("checksum", "data", "value"), SHORT)


def leaves_of(kind: type[xmr.XmrObject]) -> st.SearchStrategy[xmr.XmrObject]:
    fields = {name: FIELDS.get(name, U32) for name in kind.__dataclass_fields__}
    return st.builds(kind, **fields | {"flags": U16})


LEAVES = st.one_of(
    *[leaves_of(layout.kind) for layout in LAYOUTS if layout.read is not None],
    st.builds(xmr.Unknown, U16.filter(lambda number: number not in BY_TYPE), body=SHORT, flags=U16),
)
CONTAINERS: list[Callable[..., xmr.XmrObject]] = [
    layout.kind for layout in LAYOUTS if layout.read is None
]


def containers_of(inner: st.SearchStrategy[xmr.XmrObject]) -> st.SearchStrategy[xmr.XmrObject]:
    objects = st.lists(inner, max_size=3).map(tuple)
    return st.builds(
        lambda kind, objects, flags: kind(objects, flags=flags),
        st.sampled_from(CONTAINERS),
        objects,
        U16,
    )


DEEP = st.one_of(LEAVES, containers_of(st.one_of(LEAVES, containers_of(LEAVES))))
OBJECTS = st.lists(DEEP, max_size=4).map(tuple)


@given(SIXTEEN, OBJECTS, U16)
def test_a_built_value_parses_to_the_same(
    rights_id: bytes, objects: tuple[xmr.XmrObject, ...], flags: int
) -> None:
    expected = License(rights_id, xmr.Outer(objects, flags=flags))
    data = build_license(expected)
    assert expected == parse_license(data)
    assert data == build_license(parse_license(data))


@given(SIXTEEN, st.lists(LEAVES, max_size=3).map(tuple), SIXTEEN)
def test_a_signed_licence_verifies(
    rights_id: bytes, objects: tuple[xmr.XmrObject, ...], integrity_key: bytes
) -> None:
    others = tuple(item for item in objects if not isinstance(item, xmr.Signature))
    verify_signature(parse_license(build_signed(rights_id, others, integrity_key)), integrity_key)


def expect_the_same_bytes_or_a_refusal(data: bytes) -> None:
    try:
        parsed = parse_license(data)
    except InvalidMessage:
        return
    assert data == build_license(parsed)


@given(st.sampled_from(LICENSES), st.data())
def test_an_altered_licence_is_refused_or_kept_to_the_byte(
    data: bytes, draw: st.DataObject
) -> None:
    altered = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        altered[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    expect_the_same_bytes_or_a_refusal(bytes(altered))


@given(st.sampled_from(LICENSES), st.integers(0, 255), st.integers(0, 1 << 16))
def test_an_altered_head_is_refused_or_kept_to_the_byte(
    data: bytes, value: int, position: int
) -> None:
    position = 24 + position % 80
    expect_the_same_bytes_or_a_refusal(data[:position] + bytes([value]) + data[position + 1 :])


@given(st.binary(max_size=60))
def test_any_body_is_refused_or_kept_to_the_byte(body: bytes) -> None:
    start = LICENSES[0][:26]
    expect_the_same_bytes_or_a_refusal(start + b"\0\1" + (8 + len(body)).to_bytes(4, "big") + body)


def test_every_truncated_licence_is_refused_or_kept_to_the_byte() -> None:
    for data in LICENSES[:2]:
        for end in range(len(data)):
            expect_the_same_bytes_or_a_refusal(data[:end])
