"""The elements of a challenge are read, missing and invalid ones refused."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rightsmanager.crypto.p256 import Backend, PrivateKey, PublicKey
from rightsmanager.crypto.p256_backends import available_backends
from rightsmanager.errors import InvalidMessage, ProtocolVersionMismatch, Refusal
from rightsmanager.protocol.formats.bcert import Chain, parse_chain
from rightsmanager.protocol.formats.wrmheader import Algid
from rightsmanager.protocol.messages.challenge import MAX_CACHED_LENGTH, ChallengeReader
from rightsmanager.protocol.wire import Guid
from tests.operations.subject import Opener, opener
from tests.second import challenge as second
from tests.second import world

KID, OTHER_KID = bytes(range(32, 48)), bytes(range(48, 64))
HEADER = second.header_40(KID)
WISH = second.Wish(HEADER)
LIST_ID = "ioydTlK2p0WXkWklprR5Hw=="
REVOCATION = (
    f"<RevocationLists><RevListInfo><ListID>{LIST_ID}</ListID><Version>7</Version></RevListInfo>"
    "<RevListInfo><ListID>gC4IKKPHsUCCVhnlttibJw==</ListID><Version>0</Version></RevListInfo>"
    "</RevocationLists>"
)


@pytest.fixture(scope="module")
def subject() -> Opener:
    return opener()


def of_vectors(vectors: Any, backend: Backend) -> Opener:  # noqa: ANN401 -- JSON of any shape
    key, anchor = vectors["server_private_key"], vectors["trust_anchor"]
    return Opener(
        backend, PublicKey(base64.b64decode(anchor)), (PrivateKey(base64.b64decode(key)),)
    )


@pytest.mark.parametrize("backend", available_backends(), ids=lambda backend: backend.name)
def test_every_vector_has_its_result(vectors: Callable[[str], Any], backend: Backend) -> None:
    file = vectors("acquire_license")
    for test in file["tests"]:
        subject = of_vectors(file, backend)
        if test["result"] == "invalid":
            with pytest.raises(Refusal) as refusal:
                subject.open(test["challenge"].encode())
            assert test["status_code"] == refusal.value.status.hex
            continue
        opened = subject.open(test["challenge"].encode())
        actual = {
            "kids": [entry.kid.text for entry in opened.header.kids],
            "nonce": base64.b64encode(opened.nonce).decode(),
            "client_version": opened.client_version,
            "client_time": opened.client_time,
        }
        assert test["expect"] == actual
        assert base64.b64decode(file["device"]["chain"]) == opened.signer.raw
        assert file["device"]["security_level"] == opened.signer.leaf.security_level
        assert tuple(file["device"]["features"]) == opened.signer.leaf.features


def test_every_element_of_a_challenge_is_read(subject: Opener) -> None:
    custom = "<CustomData> a &lt;b&gt; &amp; &#xD;\n\u00e4\U0001f511 </CustomData>"
    wish = second.Wish(
        second.header_43(KID, OTHER_KID, algid="AESCBC"), "5", bytes(16), "0", revocation=REVOCATION
    )
    challenge = second.challenge(
        world.CLIENT, wish, lambda la: la.replace("<LicenseNonce>", custom + "<LicenseNonce>")
    )
    opened = subject.open(challenge)
    assert opened.version == 5
    assert [entry.kid.raw for entry in opened.header.kids] == [KID, OTHER_KID]
    assert {entry.algid for entry in opened.header.kids} == {Algid.AESCBC}
    assert opened.client_version == "4.4.0.1"
    lists = opened.revocation_lists
    assert [(Guid.from_base64(LIST_ID), 7), (lists[1].list_id, 0)] == [
        (each.list_id, each.version) for each in lists
    ]
    assert opened.custom_data == " a <b> & \r\n\u00e4\U0001f511 "
    assert (opened.nonce, opened.client_time) == (bytes(16), 0)
    assert opened.client.features == ("AESCBC",)
    assert opened.client.ree_features == ("AESCBCS",)
    assert (opened.signer.raw,) == tuple(chain.raw for chain in opened.client.chains)


def test_only_a_repeated_challenge_has_the_same_digest(subject: Opener) -> None:
    digests = [
        subject.open(second.challenge(world.CLIENT, wish)).digest
        for wish in (WISH, WISH, second.Wish(HEADER, nonce=bytes(16)))
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("version", "header"),
    [
        ("1", HEADER),
        ("1", second.header_41(KID)),
        ("4", second.header_42(KID, OTHER_KID)),
        ("5", second.header_43(KID, OTHER_KID)),
    ],
)
def test_every_header_is_read_in_its_own_version_of_the_challenge(
    subject: Opener, version: str, header: str
) -> None:
    opened = subject.open(second.challenge(world.CLIENT, second.Wish(header, version)))
    assert version == str(opened.version)
    assert opened.header.kids[0].kid.raw == KID


@pytest.mark.parametrize("version", ["0", "2", "3", "6", "18446744073709551615"])
def test_a_version_that_is_not_served_is_a_mismatch(subject: Opener, version: str) -> None:
    with pytest.raises(ProtocolVersionMismatch, match=f"Version {version}, served are 1, 4, 5"):
        subject.open(second.challenge(world.CLIENT, second.Wish(HEADER, version)))


@pytest.mark.parametrize(
    "version", ["", "x", "-1", "+1", "1.0", "0x1", "1 1", "\u0661", "18446744073709551616"]
)
def test_a_version_other_than_a_number_is_an_invalid_message(subject: Opener, version: str) -> None:
    with pytest.raises(InvalidMessage, match="Version is"):
        subject.open(second.challenge(world.CLIENT, second.Wish(HEADER, version)))


ELEMENTS = {
    "Version": "<Version>1</Version>",
    "ContentHeader": f"<ContentHeader>{HEADER}</ContentHeader>",
    "WRMHEADER": HEADER,
    "CLIENTINFO": "<CLIENTINFO><CLIENTVERSION>4.4.0.1</CLIENTVERSION></CLIENTINFO>",
    "CLIENTVERSION": "<CLIENTVERSION>4.4.0.1</CLIENTVERSION>",
    "LicenseNonce": f"<LicenseNonce>{second.b64(second.NONCE)}</LicenseNonce>",
    "ClientTime": "<ClientTime>1790000000</ClientTime>",
    "EncryptedData": second.element(world.CLIENT, WISH)[
        second.element(world.CLIENT, WISH).index("<EncryptedData ") : -len("</LA>")
    ],
    "RevocationLists": REVOCATION,
    "CustomData": "<CustomData>c</CustomData>",
}
WHOLE = second.Wish(HEADER, revocation=REVOCATION, custom_data=ELEMENTS["CustomData"])
OPTIONAL = {"RevocationLists", "CustomData"}


@pytest.mark.parametrize("name", sorted(ELEMENTS.keys() - OPTIONAL))
def test_a_missing_element_is_named(subject: Opener, name: str) -> None:
    with pytest.raises(InvalidMessage, match=f"has no element {name}"):
        subject.open(
            second.challenge(world.CLIENT, WHOLE, lambda la: la.replace(ELEMENTS[name], ""))
        )


@pytest.mark.parametrize("name", sorted(ELEMENTS))
def test_a_repeated_element_is_named(subject: Opener, name: str) -> None:
    with pytest.raises(InvalidMessage, match=f"has several elements {name}, expected one"):
        subject.open(
            second.challenge(
                world.CLIENT, WHOLE, lambda la: la.replace(ELEMENTS[name], 2 * ELEMENTS[name])
            )
        )


@pytest.mark.parametrize("name", sorted(ELEMENTS.keys() - {"WRMHEADER", "EncryptedData"}))
def test_an_element_of_another_namespace_is_missing(subject: Opener, name: str) -> None:
    foreign = ELEMENTS[name].replace(f"<{name}>", f'<{name} xmlns="urn:other">', 1)

    def alter(la: str) -> str:
        return la.replace(ELEMENTS[name], foreign)

    challenge = second.challenge(world.CLIENT, WHOLE, alter)
    if name in OPTIONAL:
        opened = subject.open(challenge)
        assert (name == "CustomData") == (opened.custom_data is None)
        assert (name == "RevocationLists") == (opened.revocation_lists == ())
        return
    with pytest.raises(InvalidMessage, match=f"has no element {name}"):
        subject.open(challenge)


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_optional_elements_may_be_missing(subject: Opener, name: str) -> None:
    subject.open(second.challenge(world.CLIENT, WHOLE, lambda la: la.replace(ELEMENTS[name], "")))


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("AAECAwQFBgcICQoLDA0ODw==<", "<", "LicenseNonce has 0 bytes, expected 16"),
        ("AAECAwQFBgcICQoLDA0ODw==<", "AAECAwQFBgcICQoLDA0O<", "LicenseNonce has 15 bytes"),
        ("AAECAwQFBgcICQoLDA0ODw==<", "AAECAwQFBgcICQoLDA0ODxA=<", "LicenseNonce has 17 bytes"),
        ("AAECAwQFBgcICQoLDA0ODw==<", "AAECAwQFBgcICQoLDA0ODx==<", "LicenseNonce is not"),
        ("AAECAwQFBgcICQoLDA0ODw==<", "A*<", "LicenseNonce is not base64"),
        ("AAECAwQFBgcICQoLDA0ODw==<", "<b></b><", "LicenseNonce has child nodes"),
        (">1790000000<", "><", "ClientTime is ''"),
        (">1790000000<", ">soon<", "ClientTime is 'soon'"),
        (">1790000000<", ">-1<", "ClientTime is '-1'"),
        (">1790000000<", ">18446744073709551616<", "ClientTime is '18446744073709551616'"),
        (">4.4.0.1<", "><a></a><", "CLIENTVERSION has child nodes"),
        (">c<", ">c<a></a><", "CustomData has child nodes"),
        (LIST_ID, "ioydTlK2p0WXkWklprR5", "GUID has 15 bytes, expected 16"),
        (LIST_ID, "", "GUID has 0 bytes, expected 16"),
        (LIST_ID, "?", "GUID is not base64"),
        (f"<ListID>{LIST_ID}</ListID>", "", "RevListInfo has no element ListID"),
        ("<Version>7</Version>", "", "RevListInfo has no element Version"),
        ("<Version>7</Version>", "<Version>x</Version>", "Version is 'x'"),
    ],
)
def test_an_invalid_value_is_refused_with_its_element(
    subject: Opener, before: str, after: str, text: str
) -> None:
    assert before in second.element(world.CLIENT, WHOLE)
    with pytest.raises(InvalidMessage, match=text):
        subject.open(second.challenge(world.CLIENT, WHOLE, lambda la: la.replace(before, after)))


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (HEADER.replace("4.0.0.0", "4.4.0.0"), "WRMHEADER version is '4.4.0.0'"),
        (HEADER.replace("4.0.0.0", "5.0.0.0"), "WRMHEADER version is '5.0.0.0'"),
        (HEADER.replace(' version="4.0.0.0"', ""), "WRMHEADER version is ''"),
        (HEADER.replace(f"<KID>{second.b64(KID)}</KID>", ""), "KID has no value"),
        (HEADER.replace(f"<KID>{second.b64(KID)}</KID>", "<KID></KID>"), "KID has no value"),
        (HEADER.replace("<KID>", "<KID></KID><KID>"), "two KID"),
        (HEADER.replace(second.b64(KID), second.b64(KID[1:])), "KID has 15 bytes"),
        (HEADER.replace("PROTECTINFO", "PROTECT"), "ALGID absent"),
        (HEADER.replace("AESCTR", "AESXTS"), "ALGID is 'AESXTS'"),
        (HEADER.replace("DATA", "DATEN"), "KID has no value"),
        (second.header_42(KID, KID), "a KID twice"),
        (second.header_42(KID, algid="AESCBC"), "ALGID AESCBC"),
        (HEADER.replace(second.H, "urn:other"), "no element WRMHEADER"),
        (HEADER.replace("WRMHEADER", "WRMHEADERS"), "no element WRMHEADER"),
    ],
)
def test_an_invalid_header_is_refused(subject: Opener, header: str, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        subject.open(second.challenge(world.CLIENT, second.Wish(header)))


RELATIVE = [
    '<z xmlns="relative"></z>',
    '<z xmlns:r="relative"></z>',
    '<r:z xmlns:r="../relative"></r:z>',
]


@pytest.mark.parametrize("element", RELATIVE)
@pytest.mark.parametrize("end", ["</DATA>", "</CustomData>", "</CLIENTVERSION>"])
def test_a_relative_namespace_on_a_read_element_is_refused(
    subject: Opener, end: str, element: str
) -> None:
    challenge = second.challenge(
        world.CLIENT, WHOLE, lambda la: la.replace(end, f"{element}{end}", 1)
    )
    with pytest.raises(InvalidMessage, match=r"no canonical form|has child nodes"):
        subject.open(challenge)


@pytest.mark.parametrize("comment", [b"", b"<!-- -->"])
@pytest.mark.parametrize("element", RELATIVE)
def test_a_relative_namespace_in_an_unknown_element_is_refused_or_ignored(
    subject: Opener, element: str, comment: bytes
) -> None:
    challenge = second.challenge(
        world.CLIENT, WHOLE, lambda la: la.replace("</LA>", element + "</LA>")
    )
    try:
        opened = subject.open(challenge.replace(b"<soap:Body>", b"<soap:Body>" + comment))
    except InvalidMessage:
        return
    original = subject.open(second.challenge(world.CLIENT, WHOLE))
    assert replace(original, digest=opened.digest) == opened


@pytest.mark.parametrize(
    ("start", "refused"),
    [
        ("<soap:Envelope", False),
        ("<challenge", False),
        ("<Signature ", False),
        ("<SignedInfo", True),
    ],
)
def test_a_relative_namespace_outside_of_the_signed_element_is_ignored(
    subject: Opener, start: str, *, refused: bool
) -> None:
    challenge = second.challenge(world.CLIENT, WISH).decode()
    altered = challenge.replace(start, f'{start.strip()} xmlns:r="relative" ').encode()
    if refused:
        with pytest.raises(InvalidMessage, match="SignedInfo has no canonical form"):
            subject.open(altered)
    else:
        assert subject.open(challenge.encode()) == subject.open(altered)


def test_the_cache_of_clients_is_bounded(subject: Opener) -> None:
    parsed = []

    def parse(data: bytes) -> Chain:
        parsed.append(data)
        return subject.verifier.parse(data)

    reader = ChallengeReader(parse, cache_size=2)
    short, other, third = (
        second.data(world.DEVICE_CHAIN).replace("</Data>", f"<z{number}/></Data>").encode()
        for number in range(3)
    )
    long = short.replace(b"<Features>", b" " * MAX_CACHED_LENGTH + b"<Features>")
    for plaintext, count in ((short, 1), (short, 1), (long, 2), (long, 3), (short, 3)):
        assert reader.client_data(plaintext).features == ("AESCBC",)
        assert len(parsed) == count
    for plaintext in (other, third, short):
        reader.client_data(plaintext)
    assert len(parsed) == 6
    assert reader.count_clients() == (2, 4)


def test_lookups_of_headers_are_counted() -> None:
    reader = ChallengeReader(parse_chain)
    text = WISH.header.encode()
    assert reader.header(text) is reader.header(text)
    assert reader.count_headers() == (1, 1)
