"""Replies are written canonical and read back to the same values."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.errors import DomainFacts, InvalidMessage
from rightsmanager.protocol.messages.response import (
    Fault,
    LicenseResponse,
    RevocationList,
    open_license_response,
    parse_fault,
    seal_license_response,
)
from rightsmanager.protocol.wire import Guid, TransactionId
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion, parse_envelope
from tests.operations.subject import private_key, public_key
from tests.second import world
from tests.second.challenge import M, P

KEY = private_key(world.SIGNER)
LEAST = LicenseResponse(licenses=(b"XMR",), response_id=bytes(range(32)))
WHOLE = LicenseResponse(
    licenses=(b"first", b"second", b""),
    response_id=bytes(range(32)),
    revocation_lists=(
        RevocationList(Guid(bytes(16)), b"list"),
        RevocationList(Guid(bytes(range(16))), b""),
    ),
    transaction_id=TransactionId(bytes(range(16))),
    nonce=bytes(range(16)),
    custom_data=" a <b> & \" ' \r\n\t\u00e4\U0001f511 ",
    signing_chain=world.SIGNER_CHAIN,
)
ORDER = [
    *("Version", "Licenses", "RevInfo", "Acknowledgement"),
    *("LicenseNonce", "ResponseID", "CustomData", "SigningCertificateChain"),
]


def in_envelope(reply: bytes, version: SoapVersion = SoapVersion.SOAP11) -> Envelope:
    head = f'<s:Envelope xmlns:s="{version.namespace}" xmlns:q="urn:q"><s:Body>'
    return parse_envelope(head.encode() + reply + b"</s:Body></s:Envelope>")


def element_of(reply: bytes) -> etree._Element:
    found = etree.fromstring(reply).find(f".//{{{P}}}LicenseResponse")
    assert found is not None
    return found


def written(reply: bytes, name: str) -> bytes:
    match = re.search(f"<{name}[ >].*</{name}>".encode(), reply, re.DOTALL)
    assert match is not None
    return match[0]


responses = st.builds(
    LicenseResponse,
    licenses=st.lists(st.binary(max_size=60), max_size=3).map(tuple),
    response_id=st.binary(min_size=32, max_size=32),
    revocation_lists=st.lists(
        st.builds(
            RevocationList, st.binary(min_size=16, max_size=16).map(Guid), st.binary(max_size=9)
        ),
        max_size=2,
    ).map(tuple),
    transaction_id=st.none() | st.binary(min_size=16, max_size=16).map(TransactionId),
    nonce=st.none() | st.binary(min_size=16, max_size=16),
    custom_data=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    signing_chain=st.none() | st.binary(min_size=1, max_size=60),
)


@given(responses)
def test_a_sealed_reply_opens_and_verifies(response: LicenseResponse) -> None:
    opened = open_license_response(in_envelope(seal_license_response(response, KEY)))
    assert response == opened.response
    opened.verify(public_key(world.SIGNER))


@given(responses)
def test_a_sealed_reply_is_canonical(response: LicenseResponse) -> None:
    reply = seal_license_response(response, KEY)
    for name in ("LicenseResponse", "SignedInfo"):
        text = written(reply, name)
        for exclusive in (True, False):
            assert text == etree.tostring(
                etree.fromstring(text), method="c14n", exclusive=exclusive
            )


def test_a_reply_has_the_published_form() -> None:
    reply = seal_license_response(LEAST, None)
    assert reply.decode() == (
        f'<AcquireLicenseResponse xmlns="{P}"><AcquireLicenseResult><Response xmlns="{M}">'
        f'<LicenseResponse xmlns="{P}" Id="SignedData"><Version>1</Version>'
        "<Licenses><License>WE1S</License></Licenses>"
        "<ResponseID>AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=</ResponseID>"
        "</LicenseResponse></Response></AcquireLicenseResult></AcquireLicenseResponse>"
    )


def test_the_elements_of_a_reply_have_their_order() -> None:
    names = [
        etree.QName(child).localname for child in element_of(seal_license_response(WHOLE, KEY))
    ]
    assert names == ORDER


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
def test_no_reply_has_prefixes_or_self_closing_tags(key: Any) -> None:  # noqa: ANN401
    reply = seal_license_response(WHOLE, key)
    assert re.findall(rb"</?\w+:|xmlns:|/>", reply) == []
    assert (b"<Signature " in reply) == (key is not None)


def test_the_signature_has_its_algorithms_and_names_no_key() -> None:
    signature = etree.fromstring(written(seal_license_response(WHOLE, KEY), "Signature"))
    assert [etree.QName(child).localname for child in signature] == ["SignedInfo", "SignatureValue"]


@pytest.mark.parametrize("version", SoapVersion)
def test_a_reply_is_read_from_either_envelope(version: SoapVersion) -> None:
    opened = open_license_response(in_envelope(seal_license_response(WHOLE, KEY), version))
    assert opened.response == WHOLE
    opened.verify(public_key(world.SIGNER))


def test_an_unsigned_reply_does_not_verify() -> None:
    opened = open_license_response(in_envelope(seal_license_response(LEAST, None)))
    assert opened.signature is None
    with pytest.raises(InvalidMessage, match="the reply has no Signature"):
        opened.verify(public_key(world.SIGNER))


def test_a_reply_by_another_signer_is_refused() -> None:
    opened = open_license_response(in_envelope(seal_license_response(WHOLE, KEY)))
    with pytest.raises(InvalidMessage, match="SignatureValue does not verify"):
        opened.verify(public_key(world.OTHER))


@pytest.mark.parametrize("name", ["Version", "License", "ResponseID", "CustomData", "ListData"])
def test_an_altered_reply_is_refused(name: str) -> None:
    reply = seal_license_response(WHOLE, KEY)
    number = re.search(f"<{name}>(.)".encode(), reply)
    assert number is not None
    at = number.start(1)
    for other in (b"7", b"9", b"A", b"B", b" "):
        altered = reply[:at] + other + reply[at + 1 :]
        if altered != reply:
            with pytest.raises(InvalidMessage):
                open_license_response(in_envelope(altered)).verify(public_key(world.SIGNER))


def test_a_reply_that_wraps_another_is_refused() -> None:
    reply = seal_license_response(WHOLE, KEY)
    evil = written(seal_license_response(LEAST, None), "LicenseResponse")
    signed = written(reply, "LicenseResponse")
    for instead in (evil, signed + evil, b"<Object>" + signed + b"</Object>" + evil, b""):
        with pytest.raises(InvalidMessage):
            open_license_response(in_envelope(reply.replace(signed, instead))).verify(
                public_key(world.SIGNER)
            )


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("AcquireLicenseResponse", "JoinDomainResponse", "expected AcquireLicenseResponse"),
        (f'Response xmlns="{P}"><Acq', 'Response xmlns="urn:x"><Acq', "expected AcquireLicenseR"),
        ("AcquireLicenseResult", "Result", "no element AcquireLicenseResult"),
        (M, "urn:x", "no element Response"),
        ("Licenses>", "Licences>", "no element Licenses"),
        ("<Version>1</Version>", "", "no element Version"),
        ("<Version>1<", "<Version>x<", "Version is 'x'"),
        ("<License>WE1S<", "<License>?<", "License is not base64"),
        ("<ResponseID>AAEC", "<ResponseID>", "ResponseID has 29 bytes, expected 32"),
        ("ResponseID>", "ResponseId>", "no element ResponseID"),
        ("</Licenses>", "</Licenses><LicenseNonce>AA==</LicenseNonce>", "LicenseNonce has 1 bytes"),
        ("</Licenses>", "</Licenses><Acknowledgement></Acknowledgement>", "TransactionID"),
        (
            "</Licenses>",
            "</Licenses><Acknowledgement><TransactionID>x</TransactionID></Acknowledgement>",
            "TransactionID 'x' is not written",
        ),
        (
            "</Licenses>",
            "</Licenses><RevInfo><Revocation></Revocation></RevInfo>",
            "Revocation has no element ListID",
        ),
    ],
)
def test_other_messages_are_refused(before: str, after: str, text: str) -> None:
    reply = seal_license_response(LEAST, None).decode()
    assert before in reply
    with pytest.raises(InvalidMessage, match=text):
        open_license_response(in_envelope(reply.replace(before, after).encode()))


@given(st.data())
def test_any_altered_reply_is_refused_or_verifies(data: st.DataObject) -> None:
    reply = bytearray(seal_license_response(WHOLE, KEY))
    for _ in range(data.draw(st.integers(1, 3))):
        reply[data.draw(st.integers(0, len(reply) - 1))] = data.draw(st.integers(0, 255))
    try:
        opened = open_license_response(in_envelope(bytes(reply)))
        opened.verify(public_key(world.SIGNER))
    except InvalidMessage:
        return
    assert opened.response == WHOLE


DETAIL = (
    "<Exception><StatusCode>0x8004c604</StatusCode><CustomData>why</CustomData>"
    "<RedirectUrl>http://127.0.0.1/</RedirectUrl></Exception>"
)
SOAP11, SOAP12 = SoapVersion.SOAP11, SoapVersion.SOAP12
FAULT11 = (
    f'<s:Fault xmlns:s="{SOAP11.namespace}"><faultcode>s:Server</faultcode>'
    f"<faultstring>text</faultstring><detail>{DETAIL}</detail></s:Fault>"
)
FAULT12 = (
    f'<s:Fault xmlns:s="{SOAP12.namespace}"><s:Code><s:Value>s:Receiver</s:Value></s:Code>'
    f"<s:Reason><s:Text>text</s:Text></s:Reason><s:Detail>{DETAIL}</s:Detail></s:Fault>"
)


@pytest.mark.parametrize(("version", "fault"), [(SOAP11, FAULT11), (SOAP12, FAULT12)])
def test_a_fault_of_either_version_is_read(version: SoapVersion, fault: str) -> None:
    expected = Fault(0x8004C604, "text", "why", "http://127.0.0.1/")
    assert expected == parse_fault(in_envelope(fault.encode(), version))
    bare = fault.replace(DETAIL, "")
    assert Fault(0, "text", None, None) == parse_fault(in_envelope(bare.encode(), version))


@pytest.mark.parametrize("fault", [FAULT11, FAULT12])
def test_a_fault_may_name_a_domain(fault: str) -> None:
    version = SOAP11 if fault is FAULT11 else SOAP12
    facts = "<AccountID>YWNjb3VudA==</AccountID><DomainURL>https://h/</DomainURL>"
    read = parse_fault(
        in_envelope(fault.replace("</Exception>", facts + "</Exception>").encode(), version)
    )
    assert read is not None
    assert read.domain == DomainFacts(account_id="YWNjb3VudA==", url="https://h/")


@pytest.mark.parametrize("status", ["x", "0x8004c60z", "\u0661x", "0x 1"])
def test_an_invalid_status_code_is_refused(status: str) -> None:
    fault = FAULT11.replace("0x8004c604", status)
    with pytest.raises(InvalidMessage, match="StatusCode is"):
        parse_fault(in_envelope(fault.encode()))


def test_another_message_is_not_a_fault() -> None:
    assert parse_fault(in_envelope(seal_license_response(LEAST, None))) is None
    assert parse_fault(in_envelope(FAULT12.encode(), SOAP11)) is None
