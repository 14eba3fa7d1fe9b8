import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.wrmheader import (
    Algid,
    Header,
    HeaderKid,
    Version,
    build_header,
    canonical_header,
    parse_header,
    parse_header_element,
)
from rightsmanager.protocol.wire import HEADER, Kid, ServiceId
from rightsmanager.protocol.xml.elements import local_name, split_tag
from rightsmanager.protocol.xml.parsing import parse_xml

VECTORS = Path(__file__).parents[1] / "vectors"
TESTS = json.loads((VECTORS / "wrmheader.json").read_text("utf-8"))["tests"]
TEXTS = [test["header"] for test in TESTS]

SIXTEEN = st.binary(min_size=16, max_size=16)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cn")),
    min_size=1,
    max_size=20,
)
OPTIONAL_WORDS = st.none() | WORDS
TAG = re.compile(r"<[^<>]*>")
INSERTED = (
    "text",
    "<!-- c -->",
    "<?pi d?>",
    "<![CDATA[&]]>",
    "&#13;",
    "&lt;",
    '<N xmlns=""/>',
    '<N xmlns="urn:a" b="c" a="&#10;"><M xmlns=""/></N>',
    '<p:N xmlns:p="urn:p"><N xmlns="" p:x=""/></p:N>',
    '<CUSTOMATTRIBUTES xmlns="" xmlns:z="urn:z" z:b="&amp;&#13;"><y/>&gt;</CUSTOMATTRIBUTES>',
    f'<q:CUSTOMATTRIBUTES xmlns:q="{HEADER}"><y xmlns=""/></q:CUSTOMATTRIBUTES>',
)


def algids(version: Version) -> st.SearchStrategy[Algid | None]:
    old: tuple[Algid | None, ...] = (Algid.AESCTR, Algid.COCKTAIL)
    return st.sampled_from((*Algid, None) if version is Version.V4_3 else old)


@st.composite
def keys(draw: st.DrawFn, algid: Algid | None) -> HeaderKid:
    checksum = draw(st.none() | st.binary(min_size=1, max_size=9))
    return HeaderKid(Kid(draw(SIXTEEN)), algid, checksum)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    version = draw(st.sampled_from(Version))
    most = 1 if version < Version.V4_2 else 4
    least = 1 if version is Version.V4_0 else 0
    algid = draw(algids(version))
    kids = st.lists(keys(algid), min_size=least, max_size=most, unique_by=lambda key: key.kid)
    text = draw(st.sampled_from(("", "a", "&amp;", "<a></a>", '<a xmlns="urn:a"></a>')))
    start = draw(st.sampled_from(("", ' a="b"', f' xmlns="{HEADER}"', ' xmlns="urn:b"')))
    return Header(
        version,
        tuple(draw(kids)),
        la_url=draw(OPTIONAL_WORDS),
        lui_url=draw(OPTIONAL_WORDS),
        ds_id=draw(st.none() | st.builds(ServiceId, SIXTEEN)),
        custom_attributes=draw(
            st.sampled_from((None, f"<CUSTOMATTRIBUTES>{text}</CUSTOMATTRIBUTES>"))
        ),
        decryptor_setup=draw(st.sampled_from((None, "ONDEMAND"))),
        license_requested=version < Version.V4_3 or draw(st.booleans()),
        others=draw(st.sampled_from(((), (f"<OTHER{start}>{text}</OTHER>",)))),
    )


@given(headers())
def test_a_built_value_parses_to_the_same(header: Header) -> None:
    text = build_header(header)
    parsed = parse_header(text)
    assert header == parsed
    assert text == canonical_header(parsed) == build_header(parsed)


@given(headers())
def test_a_built_header_is_canonical(header: Header) -> None:
    text = build_header(header)
    assert text.encode() == etree.tostring(etree.fromstring(text), method="c14n")


def expect_the_same_text_or_a_refusal(text: str) -> None:
    try:
        header = parse_header(text)
    except InvalidMessage:
        return
    assert text == build_header(header)
    assert header == parse_header(canonical_header(header))


@given(st.sampled_from(TEXTS), st.data())
def test_an_altered_header_is_refused_or_kept(text: str, draw: st.DataObject) -> None:
    position = draw.draw(st.integers(0, len(text)))
    length = draw.draw(st.integers(0, 3))
    middle = draw.draw(st.text(max_size=3) | st.sampled_from((" ", "<", ">", "/", '"', "&#13;")))
    expect_the_same_text_or_a_refusal(text[:position] + middle + text[position + length :])


@given(
    st.sampled_from([test["header"] for test in TESTS if test["result"] == "valid"]),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(INSERTED)), min_size=1, max_size=3),
)
def test_a_header_with_more_in_it_is_refused_or_kept(
    text: str, inserted: list[tuple[int, str]]
) -> None:
    for number, middle in inserted:
        ends = [match.end() for match in TAG.finditer(text)]
        position = ends[number % len(ends)]
        text = text[:position] + middle + text[position:]
    expect_the_same_text_or_a_refusal(text)


@given(st.sampled_from(TEXTS), st.sampled_from(TEXTS), st.integers(0, 600), st.integers(0, 600))
def test_two_headers_cut_together_are_refused_or_kept(
    first: str, second: str, end: int, start: int
) -> None:
    expect_the_same_text_or_a_refusal(first[:end] + second[start:])


@given(st.sampled_from(TEXTS), st.data())
def test_altered_bytes_are_refused_or_kept(text: str, draw: st.DataObject) -> None:
    data = bytearray(text.encode("utf-16-le"))
    for _ in range(2):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        header = parse_header(bytes(data))
    except InvalidMessage:
        return
    assert bytes(data) in {build_header(header).encode(code) for code in ("utf-16-le", "utf-8")}


def test_a_namespace_may_contain_a_brace() -> None:
    # The relative namespace further on has the parser take the first one as it is.
    text = (
        '<WRMHEADER xmlns="}ttp://h" version="4.3.0.0"><DATA><a xmlns="b/c"></a></DATA></WRMHEADER>'
    )
    with pytest.raises(InvalidMessage, match="WRMHEADER"):
        parse_header(text.encode("utf-16-le"))
    root = parse_xml(text.encode(), "text")
    assert (local_name(root), split_tag(str(root.tag))) == ("WRMHEADER", ("}ttp://h", "WRMHEADER"))


def test_every_truncated_header_is_refused() -> None:
    for text in TEXTS[:3]:
        for end in range(len(text) - 1):
            expect_the_same_text_or_a_refusal(text[:end])


@given(st.from_regex("[A-Za-z]{1,12}", fullmatch=True), st.sampled_from(("", f"{{{HEADER}}}")))
def test_any_other_element_is_refused(name: str, namespace: str) -> None:
    with pytest.raises(InvalidMessage, match="WRMHEADER"):
        parse_header_element(etree.Element(namespace + name))
