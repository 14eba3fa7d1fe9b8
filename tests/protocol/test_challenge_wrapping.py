"""Signature wrapping: only signed elements are read, wherever a signed copy is placed.

The attacker has a device's signed message and wants another wish served under its signature. He is
either refused, or what is read is the device's own wish.
"""

from base64 import b64decode
from dataclasses import replace

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.challenge import LicenseChallenge
from tests.operations.subject import Opener, opener
from tests.second import challenge as second
from tests.second import world

WISH = second.Wish(second.header_40(bytes(range(32, 48))))
LA = second.element(world.CLIENT, WISH)
EVIL = LA.replace("<ClientTime>1790000000", "<ClientTime>1790000001")
BODY = second.sealed(world.CLIENT, LA).decode()
SIGNATURE = BODY[BODY.index("<Signature ") : BODY.index("</Challenge>")]
ENCRYPTED = LA[LA.index("<EncryptedData ") : LA.index("</LA>")]


@pytest.fixture(scope="module")
def subject() -> Opener:
    return opener()


@pytest.fixture(scope="module")
def original(subject: Opener) -> LicenseChallenge:
    return subject.open(BODY.encode())


def without_id(la: str) -> str:
    return la.replace(' Id="SignedData"', "")


def wrapped(name: str, inner: str) -> str:
    return f"<{name}>{inner}</{name}>"


IN_PLACE = {
    "another element": EVIL,
    "two elements": LA + EVIL,
    "two elements, the other first": EVIL + LA,
    "the signed one in an element before": wrapped("Object", LA) + EVIL,
    "the signed one in an element after": EVIL + wrapped("Object", LA),
    "the signed one within the other": EVIL.replace("</LA>", LA + "</LA>"),
    "the other within the signed one": LA.replace("</LA>", EVIL + "</LA>"),
    "the signed one in a comment": f"<!-- {LA} -->{EVIL}",
    "the signed one in a comment within the other": EVIL.replace("</LA>", f"<!-- {LA} --></LA>"),
    "the signed one in an instruction": f"<?x {LA}?>{EVIL}",
    "the signed one in a CDATA section": f"<![CDATA[{LA}]]>{EVIL}",
    "the signed one in a text of the other": EVIL.replace(
        "</CLIENTINFO>", f"</CLIENTINFO><CustomData><![CDATA[{LA}]]></CustomData>"
    ),
    "the other begins within a comment": f"<!-- <LA --> {EVIL}",
    "no Id": without_id(LA),
    "another Id": LA.replace('Id="SignedData"', 'Id="Other"'),
    "an Id in lower case": LA.replace("Id=", "id="),
    "an Id of a namespace": LA.replace("<LA ", '<LA xmlns:w="urn:w" ').replace(" Id=", " w:Id="),
    "the other has no Id": wrapped("Object", LA) + without_id(EVIL),
    "another namespace": LA.replace(f'<LA xmlns="{second.P}"', '<LA xmlns="urn:other"'),
    "no namespace": LA.replace(f'<LA xmlns="{second.P}"', '<LA xmlns=""'),
    "another name": LA.replace("<LA ", "<LB ").replace("</LA>", "</LB>"),
    "deeper": wrapped("Object", LA),
    "an element more": LA.replace("</LA>", "<z></z></LA>"),
    "text more": LA.replace("</LA>", "x</LA>"),
    "an instruction more": LA.replace("</LA>", "<?x y?></LA>"),
    "nothing": "",
}
"""Elements in the place of LA."""

BESIDE = {
    "none": "",
    "two": SIGNATURE + SIGNATURE,
    "one in a comment": f"<!-- {SIGNATURE} -->",
    "one in a CDATA section": f"<![CDATA[{SIGNATURE}]]>",
    "one in an instruction": f"<?x {SIGNATURE}?>",
    "one that is deeper": wrapped("Object", SIGNATURE),
    "one of another namespace": SIGNATURE.replace(
        f'<Signature xmlns="{second.D}"', '<Signature xmlns="urn:other"'
    ),
    "no namespace": SIGNATURE.replace(f'<Signature xmlns="{second.D}"', '<Signature xmlns=""'),
}
"""Elements in the place of Signature."""


@pytest.mark.parametrize("place", IN_PLACE.values(), ids=IN_PLACE)
def test_unsigned_elements_are_not_read(subject: Opener, place: str) -> None:
    with pytest.raises(InvalidMessage):
        subject.open(second.envelope(place, SIGNATURE))


@pytest.mark.parametrize("signature", BESIDE.values(), ids=BESIDE)
def test_the_signature_follows_the_element_once(subject: Opener, signature: str) -> None:
    with pytest.raises(InvalidMessage):
        subject.open(second.envelope(LA, signature))


@pytest.mark.parametrize("before", ["<soap:Body>", "<AcquireLicense", "<challenge>", "<Challenge"])
def test_a_signed_element_elsewhere_is_not_taken_for_the_right_one(
    subject: Opener, before: str
) -> None:
    body = second.envelope(EVIL, SIGNATURE).decode()
    for moved in (LA, f"<!-- {LA} -->", f"<?x {LA}?>", wrapped("Object", LA + SIGNATURE)):
        with pytest.raises(InvalidMessage):
            subject.open(body.replace(before, moved + before, 1).encode())


@pytest.mark.parametrize(
    "more",
    [
        EVIL,
        without_id(EVIL),
        wrapped("Object", EVIL),
        '<Object Id="SignedData"></Object>',
        wrapped("Object", SIGNATURE),
        f"<!-- {EVIL} -->",
        f"<?x {EVIL}?>",
    ],
)
@pytest.mark.parametrize(
    "before", ["<soap:Body>", "<challenge>", "<Challenge", "<LA", "<Signature ", "</Challenge>"]
)
def test_only_the_signed_element_is_read(
    subject: Opener, original: LicenseChallenge, before: str, more: str
) -> None:
    body = BODY.replace(before, more + before, 1)
    try:
        opened = subject.open(body.encode())
    except InvalidMessage:
        return
    assert original == opened


def own(info: str) -> str:
    """Return the device's own Signature over another SignedInfo."""
    return second.signature(info, world.CLIENT.signing)


INFO = second.signed_info(LA)
OF_ANOTHER = second.signed_info(EVIL)


@pytest.mark.parametrize(
    "info",
    [
        OF_ANOTHER,
        INFO.replace("#SignedData", "#Other"),
        INFO.replace("#SignedData", "SignedData"),
        INFO.replace("#SignedData", ""),
        INFO.replace(' URI="#SignedData"', ""),
        INFO.replace("#SignedData", "#xpointer(id('SignedData'))"),
        INFO.replace("</Reference>", "</Reference><Reference></Reference>"),
        INFO.replace("Reference", "Manifest"),
        INFO.replace("<DigestValue>", "<DigestValue>AAAA"),
        OF_ANOTHER.replace("</SignedInfo>", INFO[INFO.index("<Reference") :]),
    ],
)
def test_a_reference_to_anything_else_is_refused_even_from_the_device(
    subject: Opener, info: str
) -> None:
    with pytest.raises(InvalidMessage):
        subject.open(second.envelope(LA, own(info)))


@pytest.mark.parametrize("algorithm", ["c14n-20010315", "#ecdsa-sha256", "#sha256"])
@pytest.mark.parametrize("other", ["", "x", "http://www.w3.org/2000/09/xmldsig#sha1"])
def test_every_other_algorithm_of_a_signature_is_refused(
    subject: Opener, algorithm: str, other: str
) -> None:
    start = INFO.rindex('"', 0, INFO.index(algorithm)) + 1
    named = INFO[start : INFO.index('"', start)]
    for attribute in (f'Algorithm="{other}"', f'algorithm="{named}"', "", f'Algorithm="{named} "'):
        info = INFO.replace(f'Algorithm="{named}"', attribute)
        with pytest.raises(InvalidMessage, match="has Algorithm"):
            subject.open(second.envelope(LA, own(info)))


@pytest.mark.parametrize(
    "element", ["CanonicalizationMethod", "SignatureMethod", "DigestMethod", "DigestValue"]
)
@pytest.mark.parametrize("count", [0, 2])
def test_every_element_of_signed_info_is_required_once(
    subject: Opener, element: str, count: int
) -> None:
    start, end = INFO.index(f"<{element}"), INFO.index(f"</{element}>") + len(element) + 3
    info = INFO[:start] + count * INFO[start:end] + INFO[end:]
    with pytest.raises(InvalidMessage, match=f"element {element}|elements {element}"):
        subject.open(second.envelope(LA, own(info)))


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize(
    "element", ["SignedInfo", "SignatureValue", "KeyInfo", "KeyValue", "ECCKeyValue", "PublicKey"]
)
def test_every_element_of_a_signature_is_required_once(
    subject: Opener, element: str, count: int
) -> None:
    start = SIGNATURE.index(f"<{element}")
    end = SIGNATURE.index(f"</{element}>") + len(element) + 3
    signature = SIGNATURE[:start] + count * SIGNATURE[start:end] + SIGNATURE[end:]
    with pytest.raises(InvalidMessage, match=element):
        subject.open(second.envelope(LA, signature))


def value_of(name: str) -> str:
    start = SIGNATURE.index(f"<{name}>") + len(name) + 2
    return SIGNATURE[start : SIGNATURE.index("<", start)]


@pytest.mark.parametrize(("name", "length"), [("SignatureValue", 64), ("PublicKey", 64)])
def test_values_of_a_signature_have_their_length(subject: Opener, name: str, length: int) -> None:
    for wrong in (0, length - 1, length + 1, 2 * length):
        text = second.b64(bytes(wrong))
        with pytest.raises(InvalidMessage, match=f"{name} has {wrong} bytes, expected {length}"):
            subject.open(second.envelope(LA, SIGNATURE.replace(value_of(name), text)))
    for text in ("?", "AAAA=", value_of(name)[:-1], value_of(name).replace("=", "")):
        with pytest.raises(InvalidMessage, match=f"{name} is not"):
            subject.open(second.envelope(LA, SIGNATURE.replace(value_of(name), text)))


def test_a_digest_has_its_length(subject: Opener) -> None:
    digest = value_of("DigestValue")
    for text in ("", second.b64(bytes(31)), second.b64(bytes(33)), "?", digest[:-1]):
        with pytest.raises(InvalidMessage, match=r"DigestValue (has|is not)"):
            subject.open(second.envelope(LA, own(INFO.replace(digest, text))))


@pytest.mark.parametrize("value", [bytes(64), b"\xff" * 64, bytes(63) + b"\1"])
def test_a_signature_out_of_range_is_refused(subject: Opener, value: bytes) -> None:
    signature = SIGNATURE.replace(value_of("SignatureValue"), second.b64(value))
    with pytest.raises(InvalidMessage, match="SignatureValue does not verify"):
        subject.open(second.envelope(LA, signature))


def test_another_spelling_of_the_signature_is_the_same_request(
    subject: Opener, original: LicenseChallenge
) -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    raw = b64decode(value_of("SignatureValue"))
    twin = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    signature = SIGNATURE.replace(value_of("SignatureValue"), second.b64(twin))
    assert original == subject.open(second.envelope(LA, signature))


@pytest.mark.parametrize(
    "instead",
    [
        2 * ENCRYPTED,
        wrapped("Object", ENCRYPTED),
        f"<!-- {ENCRYPTED} -->",
        f"<![CDATA[{ENCRYPTED}]]>",
        ENCRYPTED.replace(f'<EncryptedData xmlns="{second.X}"', "<EncryptedData"),
    ],
    ids=["twice", "deeper", "in a comment", "in a CDATA section", "in another namespace"],
)
def test_encrypted_data_is_required_once_in_the_element(subject: Opener, instead: str) -> None:
    with pytest.raises(InvalidMessage, match="EncryptedData"):
        subject.open(second.sealed(world.CLIENT, LA.replace(ENCRYPTED, instead)))


def test_nested_encrypted_data_is_ignored(subject: Opener, original: LicenseChallenge) -> None:
    end = "</EncryptedData>"
    other = ENCRYPTED.replace("<CipherValue>", "<CipherValue>AAAA")
    for inner in (ENCRYPTED, other):
        opened = subject.open(second.sealed(world.CLIENT, LA.replace(end, inner + end)))
        assert replace(original, digest=opened.digest) == opened
