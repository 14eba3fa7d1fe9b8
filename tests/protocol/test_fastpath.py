"""The fast path declines a challenge or reads the same as the parser and the walk.

White space after the envelope changes nothing but makes the fast path decline: a challenge followed
by a line feed is read by the walk.
"""

import hashlib
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.protocol.messages.challenge import LicenseChallenge
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion
from rightsmanager.protocol.xml.fastpath import REVOCATION_LIST, parse_fast
from tests.operations.subject import Opener, opener
from tests.second import challenge as second
from tests.second import world

KID = bytes(range(32, 48))
OTHER = bytes(range(48, 64))


def revocation_list(list_id: bytes, version: int | str) -> str:
    return (
        f"<RevListInfo><ListID>{second.b64(list_id)}</ListID>"
        f"<Version>{version}</Version></RevListInfo>"
    )


LISTS = "".join(revocation_list(bytes([n] * 16), n) for n in (1, 2))
WISHES = {
    "4.0": second.Wish(second.header_40(KID)),
    "4.1": second.Wish(second.header_41(KID)),
    "4.2": second.Wish(second.header_42(KID, OTHER), version="4"),
    "4.3": second.Wish(second.header_43(KID, algid="AESCBC"), version="5"),
    "LICENSEREQUESTED": second.Wish(
        second.header_42(KID).replace("<PROTECTINFO>", '<PROTECTINFO LICENSEREQUESTED="false">'),
        version="4",
    ),
    "URLs": second.Wish(
        second.header_40(KID).replace("</KID>", "</KID><LA_URL>http://127.0.0.1/</LA_URL>")
    ),
    "lists": second.Wish(
        second.header_40(KID), revocation=f"<RevocationLists>{LISTS}</RevocationLists>"
    ),
    "empty lists": second.Wish(
        second.header_40(KID), revocation="<RevocationLists></RevocationLists>"
    ),
    "custom data": second.Wish(
        second.header_40(KID), custom_data='<CustomData> json=["x"] > </CustomData>'
    ),
}
XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
XSD = ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
LA = second.element(
    world.CLIENT,
    replace(
        WISHES["lists"],
        header=WISHES["4.2"].header,
        version="4",
        custom_data="<CustomData>a</CustomData>",
    ),
)
BODY = second.sealed(world.CLIENT, LA)


@pytest.fixture(scope="module")
def subject() -> Opener:
    return opener()


def outcome(subject: Opener, body: bytes) -> LicenseChallenge | type[Refusal]:
    try:
        return subject.open(body)
    except Refusal as refusal:
        return type(refusal)


def outcome_of_the_walk(subject: Opener, body: bytes) -> LicenseChallenge | type[Refusal]:
    return outcome(subject, body + b"\n")


def parse(body: bytes) -> Envelope | None:
    try:
        return parse_fast(body)
    except InvalidMessage:
        return None


def is_recognised(body: bytes) -> bool:
    envelope = parse(body)
    return envelope is not None and envelope.canonical_challenge is not None


def assert_readers_agree(subject: Opener, body: bytes) -> None:
    assert not is_recognised(body + b"\n")
    if is_recognised(body):
        assert outcome(subject, body) == outcome_of_the_walk(subject, body)


@pytest.mark.parametrize("name", WISHES)
def test_both_readers_return_the_same_value(subject: Opener, name: str) -> None:
    body = second.challenge(world.CLIENT, WISHES[name])
    assert is_recognised(body)
    expected = outcome_of_the_walk(subject, body)
    assert isinstance(expected, LicenseChallenge)
    assert expected == outcome(subject, body)


@pytest.mark.parametrize("version", SoapVersion)
@pytest.mark.parametrize("declaration", ["", "utf-8", "UTF-8"])
@pytest.mark.parametrize("names", [("", ""), (XSI + XSD, ""), ("", XSI + XSD), (XSD, XSI)])
def test_both_readers_return_the_same_envelope(
    version: SoapVersion, declaration: str, names: tuple[str, str]
) -> None:
    start = BODY.index(b"<soap:Body>")
    soap = f' xmlns:soap="{version.namespace}"'
    prolog = f'<?xml version="1.0" encoding="{declaration}"?>' if declaration else ""
    body = f"{prolog}<soap:Envelope{names[0]}{soap}{names[1]}>".encode() + BODY[start:]
    assert is_recognised(body)
    fast, walked = parse_fast(body), parse_fast(body + b"\n")
    for name in ("version", "operation", "namespace", "must_understand"):
        assert getattr(fast, name) == getattr(walked, name)
    assert fast.text + b"\n" == walked.text
    assert fast.version is version


def test_a_recognised_challenge_with_another_digest_is_refused_by_the_walk(
    subject: Opener,
) -> None:
    body = BODY.replace(b"<ClientTime>17", b"<ClientTime>18")
    assert is_recognised(body)
    with pytest.raises(InvalidMessage, match="DigestValue is not the SHA-256 of LA"):
        subject.open(body)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"schemas.microsoft", b"schemas-microsoft"),
        (b"<CustomData>a", b"<CustomData>&amp;"),
        (b"<CustomData>a", b"<CustomData>]]>"),
        (b"<CustomData>a", b"<CustomData>\n"),
        (b"<CustomData>a", b"<CustomData>\x0b"),
        (b"<CustomData>a", b"<CustomData>\xff"),
        (b"<CustomData>a", "<CustomData>\u00e4".encode()),
        (b"<CustomData>a", b"<CustomData><!-- -->a"),
        (b"<CustomData>a", b"<CustomData><![CDATA[a]]>"),
        (b"<CustomData>a", b"<CustomData>b</CustomData><CustomData>a"),
        (b'version="4.2.0.0"', b'version="<4.2.0.0"'),
        (b"<Version>4", b"<Version> 4"),
        (b"<soap:Body>", b'<soap:Body a="">'),
        (b"<soap:Body>", b"<soap:Body> "),
        (b"</soap:Envelope>", b"</soap:Envelope>\n"),
        (b"</soap:Envelope>", b"</soap:Envelope><a/>"),
        (b"</soap:Body>", b"<A/></soap:Body>"),
        (b"soap:", b"s:"),
        (b"</LA>", b"</LA >"),
        (b'Id="SignedData" xml:space="preserve"', b'xml:space="preserve" Id="SignedData"'),
    ],
)
def test_other_spellings_are_declined(before: bytes, after: bytes) -> None:
    assert before in BODY
    assert not is_recognised(BODY.replace(before, after))


def test_a_byte_order_mark_is_left_to_the_parser(subject: Opener) -> None:
    body = b"\xef\xbb\xbf" + BODY
    assert not is_recognised(body)
    assert outcome(subject, body) == outcome(subject, BODY)


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F), max_size=12)
VALUES = st.sampled_from(
    ("", "a", " 1", "1\n", "&lt;", "&#65;", "]]>", "\u00e4", "0", "5", "9" * 20)
)


@st.composite
def wishes(draw: st.DrawFn) -> second.Wish:
    """Return a challenge that a client might seal, valid or not."""
    header = draw(
        st.sampled_from(
            (
                *(WISHES[name].header for name in ("4.0", "4.1", "4.2", "4.3", "URLs")),
                second.header_40(KID).replace("<DATA>", "<DATA ><!-- -->"),
                second.header_42(KID, KID),
                second.header_42(),
                second.header_42(KID, version="9.0.0.0"),
            )
        )
    )
    custom = draw(st.one_of(st.none(), TEXT, VALUES))
    lists = draw(
        st.one_of(st.none(), st.lists(st.tuples(st.binary(min_size=15, max_size=16), VALUES)))
    )
    client_version = draw(st.one_of(st.just("4.4.0.1"), VALUES))
    return second.Wish(
        header,
        version=draw(st.one_of(st.sampled_from(("1", "4", "5")), VALUES)),
        nonce=draw(st.binary(min_size=15, max_size=17)),
        time=draw(st.one_of(st.integers(0, 2**65).map(str), VALUES)),
        client_version=f"<CLIENTINFO><CLIENTVERSION>{client_version}</CLIENTVERSION></CLIENTINFO>",
        revocation=""
        if lists is None
        else f"<RevocationLists>{''.join(revocation_list(*each) for each in lists)}"
        "</RevocationLists>",
        custom_data="" if custom is None else f"<CustomData>{custom}</CustomData>",
    )


@given(wishes())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_both_readers_agree_on_every_generated_challenge(
    subject: Opener, wish: second.Wish
) -> None:
    assert_readers_agree(subject, second.challenge(world.CLIENT, wish))


PIECES = st.sampled_from(
    (
        *(bytes([byte]) for byte in b"<>/&\"' =]\r\n\x00\x0b\x7f\xc3?!a1:"),
        *(b"]]>", b"&lt;", b"<!---->", b"<?a?>", b' xmlns=""', b' VALUE=""', b"<KID/>"),
        *(b"</LA>", b"<LA>", b"<DATA>", b"</DATA>", b"<KIDS></KIDS>", b"</KIDS>"),
        *(b"<Version>1</Version>", b"<CustomData></CustomData>", b"<![CDATA[a]]>", b"a:"),
        *(b"<LA_URL>&#x41;</LA_URL>", b"&undefined;", b"\xe2\x80\xa8", b"xmlns:a='urn:a' "),
    )
)
ELEMENTS = [match.group().encode() for match in re.finditer(r"<(\w+)[^<>]*>[^<]*</\1>", LA)]


@st.composite
def mutations(draw: st.DrawFn, text: bytes) -> bytes:
    """Return the text with bytes flipped, inserted or removed, or an element doubled or removed."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        at = draw(st.integers(0, len(text) - 1))
        return text[:at] + bytes((text[at] ^ 1 << draw(st.integers(0, 7)),)) + text[at + 1 :]
    if kind == 1:
        element = draw(st.sampled_from([each for each in ELEMENTS if each in text]))
        return text.replace(element, element * draw(st.sampled_from((0, 2))), 1)
    at = draw(st.integers(0, len(text)))
    removed = draw(st.integers(0, 40))
    return text[:at] + draw(st.one_of(PIECES, st.just(b""))) + text[at + removed :]


@given(mutations(BODY))
def test_both_readers_agree_on_every_mutation_of_a_challenge(body: bytes) -> None:
    assert_readers_agree(opener(), body)


def sealed(la: bytes) -> bytes:
    """Return the message around the bytes of LA, signed as written."""
    digest = second.b64(hashlib.sha256(la).digest())
    info = re.sub("(?<=<DigestValue>)[^<]*", digest, second.signed_info(""))
    body = second.envelope("@", second.signature(info, world.CLIENT.signing))
    return body.replace(b"@", la)


@given(mutations(LA.encode()))
def test_both_readers_agree_on_every_mutation_that_is_signed_as_written(la: bytes) -> None:
    assert_readers_agree(opener(), sealed(la))


def test_each_revocation_list_is_found() -> None:
    assert REVOCATION_LIST.findall(LISTS.encode()) == [
        (second.b64(bytes([n] * 16)).encode(), str(n).encode()) for n in (1, 2)
    ]


def test_the_element_of_a_recognised_challenge_is_parsed_when_it_is_read() -> None:
    body = second.challenge(world.CLIENT, second.Wish(second.header_40(bytes(16))))
    envelope = parse_fast(body)
    assert envelope.canonical_challenge is not None
    assert str(envelope.element.tag).endswith("}AcquireLicense")
