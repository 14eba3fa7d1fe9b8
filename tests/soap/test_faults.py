import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.errors import DomainFacts, DomainRequired, InvalidMessage
from rightsmanager.protocol.xml.envelope import SoapVersion
from rightsmanager.soap.faults import build_fault, clean
from rightsmanager.soap.protocols import build_envelope

_ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)


def parsed(version: SoapVersion, fault: bytes) -> etree._Element:
    return etree.fromstring(b"".join(build_envelope(version, fault)))[0][0]


@pytest.mark.parametrize("version", SoapVersion)
@given(text=_ANYTHING, data=_ANYTHING, actor=_ANYTHING)
def test_any_text_makes_a_well_formed_fault(
    version: SoapVersion, text: str, data: str, actor: str
) -> None:
    fault = parsed(version, build_fault(version, InvalidMessage(text, custom_data=data), actor))
    assert (fault.findtext(".//CustomData") or "") == clean(data, 100)


@given(_ANYTHING)
def test_cleaning_keeps_what_xml_can_hold(text: str) -> None:
    cleaned = clean(text, 100)
    assert len(cleaned) == len(text)
    assert clean(cleaned, 100) == cleaned


def test_a_long_text_is_cut_with_a_mark() -> None:
    assert clean("abcdef", 4) == "abc…"
    assert clean("abcd", 4) == "abcd"


def test_a_refusal_may_say_which_domain() -> None:
    domain = DomainFacts("c2VydmljZQ==", "YWNjb3VudA==", "a & b")
    refusal = DomainRequired("join first", domain=domain)
    exception = parsed(
        SoapVersion.SOAP11, build_fault(SoapVersion.SOAP11, refusal, "http://h/")
    ).find("detail/Exception")
    assert exception is not None
    assert [(child.tag, child.text) for child in exception] == [
        ("StatusCode", "0x8004c605"),
        ("DomainServiceID", "c2VydmljZQ=="),
        ("AccountID", "YWNjb3VudA=="),
        ("FriendlyName", "a & b"),
    ]
