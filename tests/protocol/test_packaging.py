"""Messages of AcquirePackagingData, also as searched by a packager."""

from __future__ import annotations

import uuid
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.durations import Duration
from rightsmanager.protocol.messages.packaging import (
    PackagingRequest,
    ProtectionSystem,
    StreamInformation,
    StreamProtection,
    build_packaging_request,
    build_packaging_response,
    parse_packaging_request,
    parse_packaging_response,
)
from rightsmanager.protocol.wire import MAX_PROGRAM_LENGTH, Kid
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.soap.protocols import build_envelope
from tests.second import packager

PLAYREADY = uuid.UUID(packager.PLAYREADY)
ZERO = Duration(Fraction(), "P0S")
PROGRAM = "<ProgramIdentifier>a</ProgramIdentifier>"
OFFSET = "<OffsetFromProgramStart>P0S</OffsetFromProgramStart>"
SYSTEMS = (
    f"<ProtectionSystems><ProtectionSystemId>{packager.PLAYREADY}</ProtectionSystemId>"
    "</ProtectionSystems>"
)


def streams(*inner: str) -> str:
    elements = "".join(f"<StreamInformation>{each}</StreamInformation>" for each in inner)
    return f"<StreamProtectionRequests>{elements}</StreamProtectionRequests>"


def parse(body: bytes) -> PackagingRequest:
    return parse_packaging_request(parse_envelope(body))


programs = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=MAX_PROGRAM_LENGTH,
).filter(lambda text: text == text.strip(" \t\r\n"))
durations = st.integers(0, 2**31).map(lambda n: Duration(Fraction(n), f"PT{n}S"))
parts = st.tuples(programs, durations, st.none() | durations)


def test_the_request_of_a_widely_used_packager_is_read() -> None:
    assert parse(packager.ask(packager.stream("movie-1"))) == PackagingRequest(
        (PLAYREADY,), (StreamInformation("movie-1", ZERO),)
    )


@given(
    st.lists(st.uuids(), min_size=1, max_size=8, unique=True),
    st.lists(parts, min_size=1, max_size=4),
)
def test_a_request_is_read_as_it_was_written(
    systems: list[uuid.UUID], asked: list[tuple[str, Duration, Duration | None]]
) -> None:
    request = PackagingRequest(tuple(systems), tuple(StreamInformation(*each) for each in asked))
    assert parse(build_packaging_request(request)) == request


@given(parts, st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_reply_is_read_as_it_was_written_by_both_implementations(
    part: tuple[str, Duration, Duration | None], kid: bytes, key: bytes
) -> None:
    systems = (ProtectionSystem(PLAYREADY, b"object"), ProtectionSystem(uuid.UUID(int=1), b""))
    protection = StreamProtection(*part, Kid(kid), key, systems)
    child = build_packaging_response((protection, protection))
    body = b"".join(build_envelope(parse_envelope(packager.ask()).version, child))
    assert parse_packaging_response(parse_envelope(body)) == (protection, protection)
    assert packager.take(body) == packager.Packaged(uuid.UUID(bytes_le=kid), key, b"object")
    assert [row["ProgramIdentifier"] for row in packager.rows(body)] == [part[0], part[0]]
    assert b"/>" not in child
    assert b":" not in b"".join(
        piece.partition(b">")[0].partition(b" ")[0] for piece in child.split(b"<")
    )


def test_names_are_matched_without_their_namespace_and_unknown_ones_ignored() -> None:
    body = packager.envelope(
        f'<a:ProtectionSystems xmlns:a="urn:a" xmlns="">'
        f"<ProtectionSystemId> {{{packager.PLAYREADY.lower()}}}\n</ProtectionSystemId>"
        "<Unknown/></a:ProtectionSystems>"
        + streams(
            "<!-- a comment --><ProgramIdentifier>\n  a &amp; b \u00e9 </ProgramIdentifier>"
            '<BlackoutInformation xmlns:x="http://www.w3.org/2001/XMLSchema-instance" '
            f'x:nil="true"/><BlackoutInformation><Any>1</Any></BlackoutInformation>{OFFSET}'
            "<RequestInterval>PT1M</RequestInterval><More><ProgramIdentifier/></More>"
        )
    )
    assert parse(body) == PackagingRequest(
        (PLAYREADY,),
        (StreamInformation("a & b \u00e9", ZERO, Duration(Fraction(60), "PT1M")),),
    )


@pytest.mark.parametrize(
    ("challenge", "told"),
    [
        ("", "challenge has no element ProtectionSystems"),
        (SYSTEMS, "challenge has no element StreamProtectionRequests"),
        (SYSTEMS * 2 + streams(PROGRAM + OFFSET), "challenge has 2 elements ProtectionSystems"),
        (SYSTEMS + streams(PROGRAM + OFFSET) * 2, "2 elements StreamProtectionRequests"),
        ("<ProtectionSystems/>" + streams(PROGRAM + OFFSET), "0 elements ProtectionSystemId"),
        (SYSTEMS + streams(), "0 elements StreamInformation, expected 1 to 100"),
        (SYSTEMS + streams(*[PROGRAM + OFFSET] * 101), "has 101 elements StreamInformation"),
        (SYSTEMS + streams(PROGRAM), "StreamInformation has no element OffsetFromProgramStart"),
        (SYSTEMS + streams(OFFSET), "StreamInformation has no element ProgramIdentifier"),
        (SYSTEMS + streams(PROGRAM * 2 + OFFSET), "has 2 elements ProgramIdentifier"),
        (SYSTEMS + streams(PROGRAM + OFFSET * 2), "has 2 elements OffsetFromProgramStart"),
        (
            SYSTEMS + streams(PROGRAM + OFFSET + "<RequestInterval>PT1S</RequestInterval>" * 2),
            "has 2 elements RequestInterval",
        ),
        (
            SYSTEMS + streams(OFFSET + "<ProgramIdentifier> \n</ProgramIdentifier>"),
            "ProgramIdentifier has 0 characters, expected 1 to 1024",
        ),
        (
            SYSTEMS + streams(OFFSET + f"<ProgramIdentifier>{'x' * 10240}</ProgramIdentifier>"),
            "ProgramIdentifier has 10240 characters",
        ),
        (
            SYSTEMS + streams(OFFSET + "<ProgramIdentifier><b/></ProgramIdentifier>"),
            "ProgramIdentifier has child nodes",
        ),
        (
            SYSTEMS + streams(PROGRAM + "<OffsetFromProgramStart>P1Y</OffsetFromProgramStart>"),
            "OffsetFromProgramStart is 'P1Y', expected days",
        ),
        (
            SYSTEMS + streams(PROGRAM + OFFSET + "<RequestInterval/>"),
            "RequestInterval is '', expected a duration",
        ),
        (
            SYSTEMS.replace(packager.PLAYREADY, "playready") + streams(PROGRAM + OFFSET),
            "ProtectionSystemId: GUID 'playready' is not written 8-4-4-4-12",
        ),
        (
            "<ProtectionSystems>"
            + f"<ProtectionSystemId>{packager.PLAYREADY}</ProtectionSystemId>" * 2
            + "</ProtectionSystems>"
            + streams(PROGRAM + OFFSET),
            "ProtectionSystemId 9a04f079-9840-4286-ab92-e65be0885f95 twice",
        ),
    ],
)
def test_an_invalid_request_is_refused_with_a_reason(challenge: str, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        parse(packager.envelope(challenge))


@pytest.mark.parametrize("body", ["", "<challenge/><challenge/>"])
def test_exactly_one_challenge_is_required(body: str) -> None:
    text = packager.envelope("").decode()
    start, end = text.index("<challenge "), text.index("</challenge>") + len("</challenge>")
    with pytest.raises(InvalidMessage, match=r"AcquirePackagingData has .*challenge"):
        parse((text[:start] + body + text[end:]).encode())


def test_another_reply_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="expected AcquirePackagingDataResponse"):
        parse_packaging_response(parse_envelope(packager.ask(packager.stream("a"))))
