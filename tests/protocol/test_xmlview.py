"""The view of a message: its content, and each check of its protection on its own."""

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.protocol.xml.xmlview import Xml, parse_encrypted, parse_signature, verify_digest
from tests.second import challenge as second
from tests.second import world

BODY = second.challenge(world.CLIENT, second.Wish(second.header_40(bytes(16))))


def operation(body: bytes = BODY) -> Xml:
    return Xml.operation(parse_envelope(body))


def test_a_view_has_name_text_attributes_and_children() -> None:
    view = Xml.parse(b'<a xmlns="urn:a" x="1">b<!-- --><c/>d</a>', "document")
    assert (view.namespace, view.name, view.text) == ("urn:a", "a", "bd")
    assert view.attributes == (("x", "1"),)
    assert [child.name for child in view.children] == ["c"]
    assert view.canonical() == '<a xmlns="urn:a" x="1">b<c></c>d</a>'


def test_elements_are_found_by_local_name() -> None:
    view = operation()
    assert view.name == "AcquireLicense"
    assert len(list(view.find_all("CipherValue"))) == 2
    assert view.find("Missing") is None


def test_the_signed_element_and_its_signature_are_found_and_verified() -> None:
    view = operation()
    (signed,) = view.signed()
    signature = signed.signature()
    assert signature is not None
    assert signature.signature() is None
    verify_digest(signed, parse_signature(signature), BODY)
    encrypted = signed.find("EncryptedData")
    assert encrypted is not None
    assert parse_encrypted(encrypted).key_name == "WMRMServer"


def test_a_wrong_digest_and_a_relative_namespace_are_refused() -> None:
    altered = BODY.replace(b"<ClientTime>17", b"<ClientTime>18")
    (signed,) = operation(altered).signed()
    signature = signed.signature()
    assert signature is not None
    with pytest.raises(InvalidMessage, match="DigestValue is not the SHA-256 of LA"):
        verify_digest(signed, parse_signature(signature), altered)
    with pytest.raises(InvalidMessage, match="a has no canonical form"):
        Xml.parse(b'<a xmlns="relative"/>', "document").canonical()
