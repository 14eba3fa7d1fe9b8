"""The optional elements by which a client describes itself in other challenges than licences'."""

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.exchange import ClientStatement, read_client
from rightsmanager.protocol.wire import PROTOCOLS
from rightsmanager.protocol.xml.elements import Fields
from rightsmanager.protocol.xml.parsing import parse_xml

VERSION = "<CLIENTINFO><CLIENTVERSION>4.5.6.7</CLIENTVERSION></CLIENTINFO>"


def fields(content: str) -> Fields:
    element = f'<DomainLeave xmlns="{PROTOCOLS}">{content}</DomainLeave>'
    return Fields(parse_xml(element.encode(), "a test"), PROTOCOLS)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ClientStatement("", 0, None)),
        (VERSION, ClientStatement("4.5.6.7", 0, None)),
        ("<ClientTime>17</ClientTime>", ClientStatement("", 17, None)),
        ("<CustomData> a </CustomData>", ClientStatement("", 0, " a ")),
    ],
)
def test_each_element_is_optional(content: str, expected: ClientStatement) -> None:
    assert read_client(fields(content)) == expected


@pytest.mark.parametrize("content", ["<CLIENTINFO></CLIENTINFO>", "<ClientTime>soon</ClientTime>"])
def test_invalid_elements_are_refused(content: str) -> None:
    with pytest.raises(InvalidMessage):
        read_client(fields(content))
