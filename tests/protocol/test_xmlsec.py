"""Encryption and signature elements: built, parsed, decrypted and verified."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.crypto.p256 import Backend
from rightsmanager.crypto.p256_backends import available_backends
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import fingerprint
from rightsmanager.protocol.xml.elements import (
    Fields,
    canonical,
    child,
    number_of,
    optional_child,
    optional_text,
    raw_slice,
    text_of,
)
from rightsmanager.protocol.xml.parsing import parse_xml
from rightsmanager.protocol.xml.xmlsec import (
    Encrypted,
    Signature,
    build_encrypted,
    build_signature,
    decrypt,
    encrypt,
    parse_encrypted,
    parse_signature,
    sign,
    verify_digest,
    verify_value,
)
from tests.operations.subject import PORTABLE, private_key, public_key
from tests.second import challenge as second
from tests.second import world

KEY, PUBLIC = private_key(world.SERVER), public_key(world.SERVER)
ELEMENT = f'<LA xmlns="{second.P}" Id="SignedData"><Version>1</Version></LA>'


@given(st.binary(max_size=100), st.sampled_from(available_backends()), st.binary(max_size=8))
def test_encrypted_data_is_decrypted(plaintext: bytes, backend: Backend, seed: bytes) -> None:
    encrypted = encrypt(plaintext, "WMRMServer", PUBLIC, backend, seeded_random(seed))
    text = build_encrypted(encrypted)
    assert encrypted == parse_encrypted(parse_xml(text.encode(), "EncryptedData"))
    for other in available_backends():
        assert plaintext == decrypt(encrypted, [private_key(world.OTHER), KEY], other)


def test_encrypted_data_has_the_published_form() -> None:
    wrapped, ciphertext = second.cipher_values(b"<Data></Data>", world.CLIENT.server)
    encrypted = Encrypted("WMRMServer", wrapped, ciphertext)
    assert second.encrypted_data(wrapped, ciphertext) == build_encrypted(encrypted)
    assert decrypt(encrypted, [KEY], PORTABLE) == b"<Data></Data>"


def test_without_a_key_nothing_opens() -> None:
    encrypted = encrypt(b"", "name of the key", PUBLIC, PORTABLE, seeded_random(b""))
    for keys in ([], [private_key(world.OTHER)]):
        with pytest.raises(InvalidMessage, match="name of the key"):
            decrypt(encrypted, keys, PORTABLE)


@pytest.mark.parametrize("name_key", [True, False])
def test_a_signature_verifies(*, name_key: bool) -> None:
    signature = sign(ELEMENT.encode(), KEY, name_key=name_key)
    text = build_signature(signature)
    parsed = parse_signature(parse_xml(text.encode(), "Signature"))
    assert signature == parsed
    assert parsed.public_key == (PUBLIC.raw if name_key else None)
    verify_digest(parse_xml(ELEMENT.encode(), "LA"), parsed, ELEMENT.encode())
    verify_value(parsed, PUBLIC)


def test_a_signature_has_the_published_form() -> None:
    signature = sign(ELEMENT.encode(), KEY, name_key=True)
    assert second.signature(second.signed_info(ELEMENT), world.SERVER) == build_signature(signature)


def test_an_altered_element_or_signature_is_refused() -> None:
    signature = sign(ELEMENT.encode(), KEY, name_key=True)
    altered = ELEMENT.replace(">1<", ">2<").encode()
    with pytest.raises(InvalidMessage, match="DigestValue is not the SHA-256 of LA"):
        verify_digest(parse_xml(altered, "LA"), signature, altered)
    with pytest.raises(InvalidMessage, match="SignatureValue does not verify"):
        verify_value(signature, public_key(world.OTHER))
    other = Signature(
        signature.digest, signature.signed_info + b" ", signature.value, signature.public_key
    )
    with pytest.raises(InvalidMessage, match="SignatureValue does not verify"):
        verify_value(other, PUBLIC)


def test_the_element_is_signed_as_it_stands_alone() -> None:
    document = f'<a xmlns="urn:a" xmlns:b="urn:b" xml:lang="en">{ELEMENT}</a>'.encode()
    (element,) = parse_xml(document, "document")
    assert ELEMENT.encode() == canonical(element)
    verify_digest(element, sign(ELEMENT.encode(), KEY, name_key=False), document)


def test_text_that_is_not_canonical_counts_only_as_the_same_element() -> None:
    written = ELEMENT.replace('"', "'").encode()
    signature = sign(written, KEY, name_key=False)
    verify_digest(parse_xml(written, "LA"), signature, written)
    evil = ELEMENT.replace(">1<", ">4<").encode()
    for document in (
        b"<a>" + evil + b"<!--" + written + b"--></a>",
        b"<a><!--" + written + b"-->" + evil + b"</a>",
        b"<a>" + evil + b"<b>" + written + b"</b></a>",
        b"<a><b>" + written + b"</b>" + evil + b"</a>",
    ):
        element = next(
            each
            for each in parse_xml(document, "document").iter(f"{{{second.P}}}LA")
            if each.findtext(f"{{{second.P}}}Version") == "4"
        )
        with pytest.raises(InvalidMessage, match="altered after signing"):
            verify_digest(element, signature, document)


def test_a_relative_namespace_has_no_canonical_form() -> None:
    with pytest.raises(InvalidMessage, match="a has no canonical form"):
        canonical(parse_xml(b'<a xmlns="relative"/>', "a"))


PARENT = (
    b'<p xmlns="urn:p">t<!-- c --><?q?><a> 1 </a><b xmlns="">x</b><c/><c/><d><e/></d>'
    b"<f>18446744073709551615</f></p>"
)


def test_children_are_found_by_namespace_and_name() -> None:
    parent = parse_xml(PARENT, "parent")
    assert child(parent, "urn:p", "a").text == " 1 "
    assert optional_child(parent, "", "b") is parent[3]
    assert optional_child(parent, "urn:p", "b") is None
    assert text_of(parent, "urn:p", "a") == "1"
    assert optional_text(parent, "urn:p", "a") == " 1 "
    assert optional_text(parent, "urn:p", "z") is None
    assert number_of(parent, "urn:p", "f") == 2**64 - 1
    with pytest.raises(InvalidMessage, match="p has no element b of namespace 'urn:p'"):
        child(parent, "urn:p", "b")
    with pytest.raises(InvalidMessage, match="p has several elements c"):
        optional_child(parent, "urn:p", "c")
    with pytest.raises(InvalidMessage, match="d has child nodes"):
        text_of(parent, "urn:p", "d")


def test_fields_are_the_children_by_name() -> None:
    parent = parse_xml(PARENT.replace(b"<c/>", b""), "parent")
    with pytest.raises(InvalidMessage, match="p has several elements c, expected one"):
        Fields(parse_xml(PARENT, "parent"), "urn:p")
    fields = Fields(parent, "urn:p")
    assert fields.number("a") == 1
    assert fields.optional_text("a") == " 1 "
    assert (fields.optional("b"), fields.optional_text("b")) == (None, None)
    assert Fields(parent, "").text("b") == "x"
    with pytest.raises(InvalidMessage, match="p has no element b"):
        fields.element("b")


@given(st.text(max_size=30))
def test_a_number_is_decimal_and_below_2_to_the_64(text: str) -> None:
    element = etree.Element("p")
    try:
        etree.SubElement(element, "n").text = text
    except ValueError:
        return
    try:
        number = number_of(element, "", "n")
    except InvalidMessage:
        assert not re.fullmatch("[0-9]{1,19}", text)
        return
    assert number == int(text)


def test_no_secret_is_shown_when_printed() -> None:
    encrypted = encrypt(b"", "name", PUBLIC, PORTABLE, seeded_random(b""))
    assert repr(encrypted) == "Encrypted(key_name='name')"


def test_an_element_that_the_document_spells_otherwise_has_no_slice() -> None:
    (element,) = parse_xml(b"<a><b/></a>", "document")
    assert raw_slice(element, b"<a><b/></a>") == b""
    assert raw_slice(element, b"</b><b>") == b""


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("<LA ", "<LA ", ""),
        ("LA ", "p:LA xmlns:p='urn:p' ", "LA has the prefix 'p'"),
        ("<Version>", "\n <Version>", "LA has white space between its elements"),
        ("</Version>", "</Version>\r", "LA has carriage returns"),
        ("</Version>", "</Version>&#13;", "LA has carriage returns"),
        (">1<", ">\u00c3\u00a4<", "LA has characters in another encoding"),
        (" xml:space=", " space=", "LA has no attribute xml:space"),
    ],
)
def test_a_wrong_digest_names_the_alterations_of_soap_stacks(
    before: str, after: str, reason: str
) -> None:
    text = f'<LA xmlns="{second.P}" Id="SignedData" xml:space="preserve"><Version>1</Version></LA>'
    signature = sign(b"another", KEY, name_key=True)
    altered = text.replace(before, after)
    altered = altered.replace("</LA>", "</p:LA>") if "p:LA" in altered else altered
    with pytest.raises(InvalidMessage) as caught:
        verify_digest(parse_xml(altered.encode(), "LA"), signature, altered.encode())
    start, _, explanation = caught.value.text.partition("after signing")
    assert start == "DigestValue is not the SHA-256 of LA: it was altered "
    assert reason in explanation
    assert bool(explanation) is bool(reason)


def test_a_challenge_to_another_key_names_the_known_ones() -> None:
    encrypted = encrypt(b"", "WMRMServer", PUBLIC, PORTABLE, seeded_random(b""))
    other = private_key(world.OTHER)
    with pytest.raises(InvalidMessage) as caught:
        decrypt(encrypted, [other], PORTABLE, "; do this")
    assert caught.value.text == (
        "EncryptedData does not open: it is encrypted to another key than the known ones of "
        f"WMRMServer ({fingerprint(other.public.raw)}); do this"
    )
