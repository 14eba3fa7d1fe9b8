"""Spellings of one message: prefixes, quotes, white space, comments, encodings.

A spelling of E itself is signed in its canonical form.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.challenge import LicenseChallenge
from tests.operations.subject import Opener, opener
from tests.second import challenge as second
from tests.second import curve, world

Respell = Callable[[str], str]

KID = bytes(range(32, 48))
WISH = second.Wish(second.header_40(KID), custom_data="<CustomData>a &amp; b</CustomData>")
LA = second.element(world.CLIENT, WISH)
BODY = second.sealed(world.CLIENT, LA).decode()
SIGNATURE = BODY[BODY.index("<Signature ") : BODY.index("</Challenge>")]


@pytest.fixture(scope="module")
def subject() -> Opener:
    return opener()


@pytest.fixture(scope="module")
def original(subject: Opener) -> LicenseChallenge:
    return subject.open(BODY.encode())


def canonical(text: str) -> str:
    """Return the exclusive C14N, over which a spelling is signed."""
    return etree.tostring(
        etree.fromstring(text), method="c14n", exclusive=True, with_comments=False
    ).decode()


def signed_as_canonical(la: str, declared: str = "") -> bytes:
    """Return the message around a spelling of LA, signed over its canonical form."""
    alone = la.replace("<LA", f"<LA {declared}", 1) if declared else la
    signature = second.signature(second.signed_info(canonical(alone)), world.CLIENT.signing)
    return second.envelope(la, signature)


def own_signature(la: str) -> str:
    return second.signature(second.signed_info(la), world.CLIENT.signing)


def with_prefix(text: str, namespace: str, prefix: str) -> str:
    """Return XML in which the elements of a namespace, all by default, have a prefix."""
    root = etree.fromstring(text)
    return _write(root, {namespace: prefix}, None)


def _write(element: etree._Element, prefixes: dict[str, str], default: str | None) -> str:
    name = etree.QName(element)
    prefix = prefixes.get(name.namespace or "")
    tag = f"{prefix}:{name.localname}" if prefix else name.localname
    declared = "" if prefix or name.namespace == default else f' xmlns="{name.namespace}"'
    default = default if prefix else name.namespace
    attributes = "".join(
        f' {"xml:space" if key.startswith("{") else key}="{value}"'
        for key, value in ((str(key), value) for key, value in element.attrib.items())
    )
    text = (element.text or "").replace("&", "&amp;")
    children = "".join(_write(child, prefixes, default) for child in element)
    return f"<{tag}{declared}{attributes}>{text}{children}</{tag}>"


@pytest.mark.parametrize("namespace", [second.P, second.D, second.X, second.H])
def test_prefixes_that_the_element_itself_declares_are_signed(
    subject: Opener, original: LicenseChallenge, namespace: str
) -> None:
    la = with_prefix(LA, namespace, "q")
    la = la.replace("<LA", f'<LA xmlns:q="{namespace}"', 1).replace(
        "<q:LA", f'<q:LA xmlns:q="{namespace}"', 1
    )
    opened = subject.open(signed_as_canonical(la))
    assert replace(original, digest=opened.digest) == opened


@pytest.mark.parametrize("namespace", [second.P, second.D, second.X, second.H])
def test_prefixes_that_the_envelope_declares_are_signed_where_they_are_used(
    subject: Opener, original: LicenseChallenge, namespace: str
) -> None:
    declared = f'xmlns:q="{namespace}"'
    la = with_prefix(LA, namespace, "q")
    alone = re.sub("^<(q:)?LA", rf"\g<0> {declared}", la)
    signature = second.signature(second.signed_info(canonical(alone)), world.CLIENT.signing)
    body = second.envelope(la, signature).decode().replace("<soap:Body>", f"<soap:Body {declared}>")
    opened = subject.open(body.encode())
    assert replace(original, digest=opened.digest) == opened


def test_the_signature_may_have_a_prefix(subject: Opener, original: LicenseChallenge) -> None:
    info = second.signed_info(LA)
    prefixed = with_prefix(info, second.D, "ds").replace(
        "<ds:SignedInfo", f'<ds:SignedInfo xmlns:ds="{second.D}"'
    )
    signature = with_prefix(second.signature(info, world.CLIENT.signing), second.D, "ds")
    value = second.b64(curve.sign(world.CLIENT.signing, canonical(prefixed).encode()))
    signature = re.sub("(?<=<ds:SignatureValue>)[^<]*", value, signature)
    signature = signature.replace("<ds:Signature>", f'<ds:Signature xmlns:ds="{second.D}">', 1)
    assert original == subject.open(second.envelope(LA, signature))


def test_the_elements_around_may_have_prefixes(subject: Opener, original: LicenseChallenge) -> None:
    body = (
        f'<s:Envelope xmlns:s="{second.SOAP12}" xmlns:p="{second.P}" xmlns:m="{second.M}"><s:Body>'
        f"<p:AcquireLicense><p:challenge><m:Challenge>{LA}{SIGNATURE}</m:Challenge></p:challenge>"
        "</p:AcquireLicense></s:Body></s:Envelope>"
    )
    assert original == subject.open(body.encode())


def replacing(before: str, after: str) -> Respell:
    def respell(text: str) -> str:
        assert before in text
        return text.replace(before, after)

    return respell


def single_quoted(text: str) -> str:
    return re.sub(r'="([^"]*)"', r"='\1'", text)


def self_closed(text: str) -> str:
    return re.sub(r"<(\w+)([^<>]*)></\1>", r"<\1\2/>", text)


def spaced_tags(text: str) -> str:
    return re.sub(r"</(\w+)>", "</\\1\n>", text)


def attributes_turned(text: str) -> str:
    return re.sub(r'<(\w+) ([\w:]+="[^"]*") ([\w:]+="[^"]*")', r"<\1 \3  \2", text)


def commented(text: str) -> str:
    return re.sub(
        r"(<(?:Version|ClientTime|EncryptedData|KeyInfo|DATA)[ >])", r"<!-- < -->\1", text
    )


def as_cdata(text: str) -> str:
    return text.replace("a &amp; b", "a <![CDATA[& b]]>")


def as_references(text: str) -> str:
    return text.replace("WMRMServer", "WMRM&#83;erver").replace("1790000000", "&#x31;790000000")


SPELLINGS: list[Respell] = [
    single_quoted,
    self_closed,
    spaced_tags,
    attributes_turned,
    commented,
    as_cdata,
    as_references,
    replacing("<LA ", "<LA\n\t"),
    replacing('Id="SignedData"', 'Id="&#83;ignedData"'),
]


@pytest.mark.parametrize("respell", SPELLINGS)
def test_a_spelling_of_the_signed_element_has_the_digest_of_its_canonical_form(
    subject: Opener, original: LicenseChallenge, respell: Respell
) -> None:
    la = respell(LA)
    assert la != LA
    assert canonical(la) == LA
    assert original == subject.open(second.envelope(la, SIGNATURE))


@pytest.mark.parametrize("respell", SPELLINGS)
def test_a_spelling_may_also_be_signed_as_it_is_written(
    subject: Opener, original: LicenseChallenge, respell: Respell
) -> None:
    # Its own end tag tells where the text as written ends.
    la = re.sub(r"</LA\s*>$", "</LA>", respell(LA))
    opened = subject.open(second.sealed(world.CLIENT, la))
    assert replace(original, digest=opened.digest) == opened


@pytest.mark.parametrize("respell", [single_quoted, self_closed, spaced_tags])
def test_a_spelling_of_the_signature_has_its_canonical_form(
    subject: Opener, original: LicenseChallenge, respell: Respell
) -> None:
    assert original == subject.open(second.envelope(LA, respell(SIGNATURE)))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_white_space_between_elements_is_ignored(
    subject: Opener, original: LicenseChallenge, newline: str
) -> None:
    la = LA.replace("><", ">\n <")
    info = second.signed_info(la).replace("><", ">\n <")
    signature = second.signature(info, world.CLIENT.signing).replace("><", ">\n\t<")
    body = second.envelope(la, signature).decode()
    opened = subject.open(body.replace("\n", newline).encode())
    assert replace(original, digest=opened.digest) == opened


@pytest.mark.parametrize("space", ["\n", "\r\n", " \t", "&#13;\n", "&#xD;&#xA;", "&#32;"])
@pytest.mark.parametrize("name", ["SignatureValue", "PublicKey"])
def test_white_space_in_base64_of_the_signature_is_ignored(
    subject: Opener, original: LicenseChallenge, name: str, space: str
) -> None:
    signature = re.sub(rf"(<{name}>.{{40}})(.*)(</{name}>)", rf"\1{space}\2{space}\3", SIGNATURE)
    assert signature != SIGNATURE
    assert original == subject.open(second.envelope(LA, signature))


@pytest.mark.parametrize("space", ["\n", "\r\n", " \t", "&#13;\n", "&#xD;&#xA;", "&#32;"])
def test_white_space_in_base64_of_the_signed_element_is_ignored(
    subject: Opener, original: LicenseChallenge, space: str
) -> None:
    la = re.sub(r"(<(\w+)>.{20})([^<]*=)(</\2>)", rf"\1{space}\3{space}\4", LA)
    assert la.count(space) >= 4
    for body in (signed_as_canonical(la), second.sealed(world.CLIENT, la)):
        opened = subject.open(body)
        assert replace(original, digest=opened.digest) == opened


@pytest.mark.parametrize("space", ["\n", "\r\n", "&#13;\n"])
def test_white_space_in_the_digest_is_signed_as_canonically_written(
    subject: Opener, original: LicenseChallenge, space: str
) -> None:
    info = re.sub(r"(<DigestValue>.{20})", rf"\1{space}", second.signed_info(LA))
    value = second.b64(curve.sign(world.CLIENT.signing, canonical(info).encode()))
    signature = re.sub(
        "(?<=<SignatureValue>)[^<]*", value, second.signature(info, world.CLIENT.signing)
    )
    assert original == subject.open(second.envelope(LA, signature))


def test_a_header_that_is_not_canonical_may_be_signed_as_it_is_written(subject: Opener) -> None:
    header = (
        f'<WRMHEADER version="4.0.0.0" xmlns="{second.H}"><DATA ><PROTECTINFO><KEYLEN>16</KEYLEN>'
        f"<ALGID>AESCTR</ALGID></PROTECTINFO><KID>{second.b64(KID)}</KID><LA_URL/></DATA>"
        "</WRMHEADER>"
    )
    la = second.element(world.CLIENT, replace(WISH, header=header))
    assert canonical(la) != la
    for body in (second.sealed(world.CLIENT, la), signed_as_canonical(la)):
        for around in ("", "<!-- < -->", "<?x < ?>"):
            opened = subject.open(body.replace(b"<soap:Body>", b"<soap:Body>" + around.encode()))
            assert opened.header.kids[0].kid.raw == KID


@pytest.mark.parametrize(
    "around",
    ["<!-- c -->", "<?p i?>", " \n", '<!-- <LA Id="SignedData"></LA> <Signature> -->'],
)
@pytest.mark.parametrize(
    "before",
    [
        "<soap:Envelope",
        "<soap:Body>",
        "<challenge>",
        "<Challenge",
        "<LA",
        "<Signature ",
        "</Challenge>",
    ],
)
def test_comments_and_instructions_may_surround_elements(
    subject: Opener, original: LicenseChallenge, before: str, around: str
) -> None:
    body = BODY.replace(before, around + before, 1)
    assert original == subject.open(body.encode())


@pytest.mark.parametrize(
    "name", ["Version", "CLIENTVERSION", "LicenseNonce", "ClientTime", "CustomData"]
)
def test_a_comment_within_a_text_does_not_cut_the_text(subject: Opener, name: str) -> None:
    la = re.sub(rf"(<{name}>.)", r"\1<!-- -->", LA)
    with pytest.raises(InvalidMessage, match=f"{name} has child nodes"):
        subject.open(second.envelope(la, SIGNATURE))


@pytest.mark.parametrize("name", ["KeyName", "CipherValue", "SignatureValue", "PublicKey"])
def test_a_comment_within_a_key_or_signature_does_not_cut_it(subject: Opener, name: str) -> None:
    body = re.sub(rf"(<{name}>.)", r"\1<!-- -->", BODY)
    with pytest.raises(InvalidMessage, match=f"{name} has child nodes"):
        subject.open(body.encode())


@pytest.mark.parametrize("around", ["", "<!-- -->"])
@pytest.mark.parametrize(
    "name", ["KeyName", "CipherValue", "SignatureValue", "PublicKey", "LicenseNonce", "ClientTime"]
)
def test_only_white_space_of_xml_is_ignored(subject: Opener, name: str, around: str) -> None:
    for space in ("\u00a0", "\u2003", "\u0085"):
        la = re.sub(f"(<{name}>)", rf"\1{space}", LA)
        signature = re.sub(f"(<{name}>)", rf"\1{space}", SIGNATURE)
        message = second.envelope(la, signature if la == LA else own_signature(la)).decode()
        with pytest.raises(InvalidMessage, match=name):
            subject.open(message.replace("<soap:Body>", "<soap:Body>" + around).encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("declared", ["utf-8", "utf-16", "iso-8859-1"])
def test_every_encoding_opens_to_the_same(
    subject: Opener, original: LicenseChallenge, encoding: str, declared: str
) -> None:
    body = BODY.replace('encoding="utf-8"', f'encoding="{declared}"')
    assert original == subject.open(body.encode(encoding))


def test_letters_beyond_ascii_are_signed_in_utf_8_in_any_encoding(subject: Opener) -> None:
    custom = "\u00e4\u4e2d\U0001f511"
    wish = replace(WISH, custom_data=f"<CustomData>{custom}</CustomData>")
    body = second.challenge(world.CLIENT, wish)
    for encoded in (body, body.decode().encode("utf-16")):
        assert custom == subject.open(encoded).custom_data
