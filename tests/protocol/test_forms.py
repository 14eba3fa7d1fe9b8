"""A challenge in the usual form says what the walk through its elements finds, or has no form."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.challenge import LicenseChallenge, open_license_challenge
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion, parse_envelope
from rightsmanager.protocol.xml.fastpath import REVOCATION_LIST, CanonicalChallenge
from tests.operations.subject import Opener, opener
from tests.second import challenge as second
from tests.second import world

KID = bytes(range(32, 48))
OTHER = bytes(range(48, 64))
LISTS = "".join(
    f"<RevListInfo><ListID>{second.b64(bytes([n] * 16))}</ListID>"
    f"<Version>{n}</Version></RevListInfo>"
    for n in (1, 2)
)
WISHES = {
    "4.0": second.Wish(second.header_40(KID)),
    "4.1": second.Wish(second.header_41(KID)),
    "4.2": second.Wish(second.header_42(KID, OTHER), version="4"),
    "4.3": second.Wish(second.header_43(KID, algid="AESCBC"), version="5"),
    "not asking for a licence": second.Wish(
        second.header_42(KID).replace("<PROTECTINFO>", '<PROTECTINFO LICENSEREQUESTED="false">'),
        version="4",
    ),
    "with URLs": second.Wish(
        second.header_40(KID).replace("</KID>", "</KID><LA_URL>http://127.0.0.1/</LA_URL>")
    ),
    "with lists": second.Wish(
        second.header_40(KID), revocation=f"<RevocationLists>{LISTS}</RevocationLists>"
    ),
    "with no lists": second.Wish(
        second.header_40(KID), revocation="<RevocationLists></RevocationLists>"
    ),
    "with custom data": second.Wish(
        second.header_40(KID), custom_data='<CustomData> json=["x"] > </CustomData>'
    ),
    "with white space": second.Wish(second.header_40(KID), version=" 1 ", time=" 1790000000"),
}
XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
XSD = ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
BODY = second.challenge(
    world.CLIENT,
    replace(
        WISHES["with lists"], custom_data="<CustomData>a</CustomData>", header=WISHES["4.2"].header
    ),
)


@pytest.fixture(scope="module")
def subject() -> Opener:
    return opener()


def walked(subject: Opener, envelope: Envelope) -> LicenseChallenge:
    """Return what a challenge asks, read element by element."""
    return open_license_challenge(
        replace(envelope, license_form=None), subject.keys, subject.backend, subject.reader
    )


@pytest.mark.parametrize("name", WISHES)
def test_a_challenge_in_the_form_says_what_the_walk_finds(subject: Opener, name: str) -> None:
    body = second.challenge(world.CLIENT, WISHES[name])
    envelope = parse_envelope(body)
    assert envelope.license_form is not None
    assert subject.open(body) == walked(subject, envelope)


@pytest.mark.parametrize("version", SoapVersion)
@pytest.mark.parametrize("declaration", ["", "utf-8", "UTF-8"])
@pytest.mark.parametrize("names", [("", ""), (XSI + XSD, ""), ("", XSI + XSD), (XSD, XSI)])
def test_the_envelope_may_declare_its_names_in_any_order(
    version: SoapVersion, declaration: str, names: tuple[str, str]
) -> None:
    start = BODY.index(b"<soap:Body>")
    soap = f' xmlns:soap="{version.namespace}"'
    prolog = f'<?xml version="1.0" encoding="{declaration}"?>' if declaration else ""
    head = f"{prolog}<soap:Envelope{names[0]}{soap}{names[1]}>"
    envelope = parse_envelope(head.encode() + BODY[start:])
    assert envelope.license_form is not None
    assert (envelope.version, envelope.operation, envelope.namespace, envelope.must_understand) == (
        version,
        "AcquireLicense",
        second.P,
        (),
    )


def test_a_form_whose_digest_is_another_is_walked_to_its_refusal(subject: Opener) -> None:
    body = BODY.replace(b"<ClientTime>17", b"<ClientTime>18")
    envelope = parse_envelope(body)
    assert envelope.license_form is not None
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
        (b"<CustomData>a", b"<CustomData>b</CustomData><CustomData>a"),
        (b'version="4.2.0.0"', b'version="<4.2.0.0"'),
        (b"<soap:Body>", b'<soap:Body a="">'),
        (b"<soap:Body>", b"<soap:Body> "),
        (b"</soap:Envelope>", b"</soap:Envelope>\n"),
        (b"</soap:Envelope>", b"</soap:Envelope><a/>"),
        (b"</soap:Body>", b"<A/></soap:Body>"),
    ],
)
def test_what_is_spelt_otherwise_has_no_form(before: bytes, after: bytes) -> None:
    assert before in BODY
    with suppress(InvalidMessage):
        assert parse_envelope(BODY.replace(before, after)).license_form is None


PIECES = st.sampled_from(
    (
        *(bytes([byte]) for byte in b"<>/&\"' =]\r\n\x00\x0b\x7f\xc3?!a1:"),
        *(b"]]>", b"&lt;", b"<!---->", b"<?a?>", b' xmlns=""', b' VALUE=""', b"<KID/>"),
        *(b"</LA>", b"<LA>", b"<DATA>", b"</DATA>", b"<KIDS></KIDS>", b"</KIDS>"),
        *(b"<Version>1</Version>", b"<CustomData></CustomData>"),
    )
)


@given(st.integers(0, len(BODY)), st.integers(0, 40), PIECES)
def test_whatever_has_the_form_is_what_a_parser_finds(at: int, removed: int, piece: bytes) -> None:
    body = BODY[:at] + piece + BODY[at + removed :]
    try:
        envelope = parse_envelope(body)
    except InvalidMessage:
        return
    if envelope.license_form is not None:
        assert envelope.license_form == found(etree.fromstring(body), body)


def found(root: etree._Element, body: bytes) -> CanonicalChallenge:
    """Return the values of a challenge as a parser finds them."""

    def text(path: str) -> bytes | None:
        elements = root.findall(path, namespaces={"p": second.P, "d": second.D, "x": second.X})
        assert len(elements) <= 1
        return (elements[0].text or "").encode() if elements else None

    def there(path: str) -> bytes:
        value = text(path)
        assert value is not None
        return value

    la, key = ".//p:LA", ".//x:EncryptedKey"
    return CanonicalChallenge(
        la=written(body, b"LA"),
        version=there(f"{la}/p:Version"),
        header=written(body, b"WRMHEADER"),
        client_version=there(f"{la}/p:CLIENTINFO/p:CLIENTVERSION"),
        revocation_lists=None if text(f"{la}/p:RevocationLists") is None else lists(root).encode(),
        custom_data=text(f"{la}/p:CustomData"),
        nonce=there(f"{la}/p:LicenseNonce"),
        client_time=there(f"{la}/p:ClientTime"),
        key_name=there(f"{key}/d:KeyInfo/d:KeyName"),
        wrapped_key=there(f"{key}/x:CipherData/x:CipherValue"),
        ciphertext=there(".//x:EncryptedData/x:CipherData/x:CipherValue"),
        digest=there(".//d:DigestValue"),
        signature=there(".//d:SignatureValue"),
        public_key=text(".//d:PublicKey"),
    )


def written(body: bytes, name: bytes) -> bytes:
    end = b"</" + name + b">"
    return body[body.index(b"<" + name + b" ") : body.index(end) + len(end)]


def lists(root: etree._Element) -> str:
    return "".join(
        f"<RevListInfo><ListID>{info.findtext('{*}ListID')}</ListID>"
        f"<Version>{info.findtext('{*}Version')}</Version></RevListInfo>"
        for info in root.iterfind(".//{*}RevListInfo")
    )


def test_each_list_is_told_apart() -> None:
    assert len(REVOCATION_LIST.findall(LISTS.encode())) == 2
