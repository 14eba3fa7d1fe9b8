"""Whatever is done to a thing, it is described or refused, and never anything else happens."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rightsmanager.cli.show import as_tree, summary
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import Context, as_json, describe

# Fixtures of a session's scope are the same for every example.
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[float, int, bytes]]:
    """Places (as a part of the length), how many bytes go, and what comes instead."""
    change = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 8), st.binary(max_size=8))
    return draw(st.lists(change, min_size=1, max_size=4))


def altered(data: bytes, how: list[tuple[float, int, bytes]]) -> bytes:
    for place, gone, come in how:
        start = int(place * len(data))
        data = data[:start] + come + data[start + gone :]
    return data


def shown(data: bytes, context: Context) -> None:
    try:
        found = describe(data, context)
    except InvalidMessage:
        return
    json.dumps(as_json(found))
    as_tree(found)
    summary(found)


@quick
@given(data=st.data(), how=changes())
def test_altered_things_are_described_or_refused(
    data: st.DataObject,
    how: list[tuple[float, int, bytes]],
    things: dict[str, bytes],
    aided: Context,
) -> None:
    name = data.draw(st.sampled_from(sorted(things)))
    shown(altered(things[name], how), aided)


@quick
@given(st.binary(max_size=200), st.sampled_from([b"", b"XMR\0", b"CHAI", b"CERT", b"\0\0\0\1pssh"]))
def test_any_bytes_are_described_or_refused(aided: Context, tail: bytes, magic: bytes) -> None:
    shown(magic + tail, aided)


@pytest.mark.parametrize("kind", ["xmr_published", "xmr_bound_1", "pssh_1", "object_1"])
def test_a_thing_cut_anywhere_is_described_or_refused(
    kind: str, things: dict[str, bytes], aided: Context
) -> None:
    for length in range(len(things[kind])):
        shown(things[kind][:length], aided)


def test_what_is_sound_gives_no_failed_check(things: dict[str, bytes], aided: Context) -> None:
    sound = ["chain", "challenge_1", "challenge_2", "challenge_3", "challenge_4", "xmr_bound_1"]
    assert [name for name in sound if describe(things[name], aided).failed] == []
