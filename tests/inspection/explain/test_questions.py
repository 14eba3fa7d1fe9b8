"""Every kind of input is recognised."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.explanation import MAX_KIDS, Defaults, explain_form
from rightsmanager.inspection.questions import Question, find_question, header_of
from rightsmanager.protocol.formats.pssh import Pssh, build_object, build_pssh, object_of
from rightsmanager.protocol.formats.wrmheader import build_header
from rightsmanager.protocol.wire import Kid

KID = Kid(bytes(range(16)))
HEADER = header_of((KID,))
TEXT = build_header(HEADER)
OBJECT = build_object(object_of(HEADER))
BOX = build_pssh(Pssh(object_of(HEADER)))
VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "acquire_license.json").read_text("utf-8")
)
CHALLENGE = VECTORS["tests"][0]["challenge"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("http://h/rightsmanager.asmx?cfg=(sl:2000)", "cfg=(sl:2000)"),
        ("https://h:8/a/RightsManager.asmx?SecureStop=1&ErrorCode=1#x", "SecureStop=1&ErrorCode=1"),
        ("rightsmanager.asmx?cfg=()", "cfg=()"),
        ("http://h/rightsmanager.asmx", ""),
        ("http://h/rightsmanager.asmx?", ""),
        ("?cfg=(sl:2000)", "cfg=(sl:2000)"),
        ("cfg=(sl:2000)", "cfg=(sl:2000)"),
        ("(sl:2000)", "cfg=(sl:2000)"),
        ("cfg64=W10=", "cfg64=W10="),
        ("SecureStop=1", "SecureStop=1"),
        ("\ufeff cfg=() \n", "cfg=()"),
        ("", ""),
    ],
)
def test_a_query_is_found_in_whatever_is_written(text: str, query: str) -> None:
    assert find_question(text.encode()) == Question(query=query)


@pytest.mark.parametrize(
    ("text", "custom_data"),
    [("json=[{}]", "json=[{}]"), ("JSON=[]", "JSON=[]"), ("[{'sl':1}]", "json=[{'sl':1}]")],
)
def test_custom_data_is_found_with_and_without_its_name(text: str, custom_data: str) -> None:
    assert find_question(text.encode()) == Question(custom_data=custom_data)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-16"),
        OBJECT,
        BOX,
        b64encode(OBJECT),
        b64encode(BOX),
        BOX.hex().encode(),
        b64encode(TEXT.encode("utf-16-le")),
    ],
)
def test_a_header_gives_its_kids(data: bytes) -> None:
    found = find_question(data)
    assert found.header is not None
    assert [entry.kid for entry in found.header.kids] == [KID]
    assert (found.query, found.custom_data) == ("", None)


def test_a_challenge_gives_its_kids_and_custom_data() -> None:
    found = find_question(CHALLENGE.encode())
    assert found.header is not None
    expected = CHALLENGE.partition("<CustomData>")[2].partition("</CustomData>")[0]
    assert (found.custom_data or "") == expected


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\xff", b"\x80abc", OBJECT[:-1] + b"\1", b"<Other></Other>", b"<Other>"]
)
def test_what_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        find_question(data)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_nothing_else_is_raised(data: bytes) -> None:
    with suppress(InvalidMessage):
        assert isinstance(find_question(data), Question)


def form(asked: str = "", custom_data: str = "", kids: str = "", level: str = "") -> list[str]:
    """Give what is shown of the answer to a form: problems, warnings, KIDs."""
    answer = explain_form(
        asked=asked,
        custom_data=custom_data,
        kids=kids,
        level=level,
        defaults=Defaults(),
        now=1790000000,
    )
    shown = [str(license_.children[0].value) for license_ in answer.licenses]
    return [*answer.problems, *answer.warnings, *shown]


def test_a_forms_fields_are_read() -> None:
    both = f"{KID.text}, {KID.swapped.base64}"
    assert form("cfg=(sl:2000)", kids=both) == [KID.text, KID.swapped.text]
    assert form(TEXT) == [KID.text]
    assert form("json=[{'sl':1}]", "json=[{'sl':2000}]") == ["header"]
    assert form("cfg=(sl:3000)", level=" 2000 ")[0].startswith("the licence for each KID")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kids": "x"}, "KID is 'x', expected a GUID"),
        ({"kids": "AAAA"}, "KID is 'AAAA', expected a GUID"),
        ({"kids": f"{KID.text} " * (MAX_KIDS + 1)}, "101 KIDs are named, expected at most 100"),
        ({"level": "high"}, "the device's security level is 'high', expected a number"),
        ({"level": "65536"}, "the device's security level is '65536', expected a number"),
        ({"asked": "x" * 65537}, "the form has more than 65536 characters"),
        ({"asked": "<x>"}, "the XML is not well-formed XML: it ends inside"),
    ],
)
def test_a_field_that_is_wrong_is_a_problem(fields: dict[str, str], problem: str) -> None:
    (told,) = form(**fields)
    assert told.startswith(problem)


@given(st.text(), st.text(), st.text(max_size=40), st.text(max_size=8))
def test_whatever_is_in_a_form_has_an_answer(
    asked: str, custom_data: str, kids: str, level: str
) -> None:
    assert isinstance(form(asked, custom_data, kids, level), list)
