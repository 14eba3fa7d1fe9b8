"""The service description: well-formed, complete, and the same as the table of operations."""

from typing import Any

import pytest
from lxml import etree

from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.soap.samples import exchanges
from rightsmanager.soap.wsdl import build_wsdl

URL = "http://127.0.0.1:1/rightsmanager.asmx"
P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
NS = {
    "w": "http://schemas.xmlsoap.org/wsdl/",
    "soap": "http://schemas.xmlsoap.org/wsdl/soap/",
    "soap12": "http://schemas.xmlsoap.org/wsdl/soap12/",
    "s": "http://www.w3.org/2001/XMLSchema",
}
SCHEMA = f"w:types/s:schema[@targetNamespace='{P}']"
BINDINGS = [("RightsManagerSoap", "soap"), ("RightsManagerSoap12", "soap12")]
# The order and the number of children that WSDL 1.1 (chapter 2 and its appendix A 4.1) allows.
CONTENT = {
    "definitions": ("types", "message*", "portType*", "binding*", "service*"),
    "types": ("schema*",),
    "message": ("part*",),
    "portType": ("operation*",),
    "binding": ("binding", "operation*"),
    "service": ("port*",),
    "port": ("address",),
}
REQUIRED = {
    "definitions": ("name", "targetNamespace"),
    "message": ("name",),
    "part": ("name", "element"),
    "portType": ("name",),
    "operation": ("name",),
    "binding": ("name", "type"),
    "service": ("name",),
    "port": ("name", "binding"),
}


@pytest.fixture(name="wsdl", scope="module")
def wsdl_fixture() -> etree._Element:
    return etree.fromstring(build_wsdl(URL))


def names(wsdl: etree._Element, path: str) -> list[str | None]:
    return [element.get("name") for element in wsdl.findall(path, NS)]


def qname(element: etree._Element, attribute: str) -> str:
    prefix, _, local = (element.get(attribute) or "").partition(":")
    return f"{{{element.nsmap[prefix]}}}{local}"


def test_it_is_built_as_wsdl_1_1_says(wsdl: etree._Element) -> None:
    for element in wsdl.iter(f"{{{NS['w']}}}*"):
        kind = etree.QName(element).localname
        assert all(element.get(name) for name in REQUIRED.get(kind, ()))
        if kind in CONTENT:
            left = list(CONTENT[kind])
            for child in element:
                name = etree.QName(child).localname
                while left[0] not in {name, name + "*"}:
                    left.pop(0)
                if not left[0].endswith("*"):
                    left.pop(0)


@pytest.fixture(name="schema", scope="module")
def schema_fixture(
    wsdl: etree._Element, tmp_path_factory: pytest.TempPathFactory
) -> etree.XMLSchema:
    """The types as a schema of their own: two files, the first of which imports the second."""
    folder = tmp_path_factory.mktemp("schema")
    packaging, protocols = wsdl.findall("w:types/s:schema", NS)
    (folder / "packaging.xsd").write_bytes(etree.tostring(packaging))
    root = etree.fromstring(etree.tostring(protocols))
    root[0].set("schemaLocation", (folder / "packaging.xsd").as_uri())
    return etree.XMLSchema(root)


@pytest.mark.parametrize(("title", "request_", "reply"), exchanges("AcquirePackagingData", URL))
def test_its_types_take_the_samples_of_a_packager(
    schema: etree.XMLSchema, title: str, request_: str, reply: str
) -> None:
    assert title.startswith("SOAP")
    for sample in (request_, reply):
        text = (
            sample.partition("\n\n")[2]
            .replace(">GUID<", ">9a04f079-9840-4286-ab92-e65be0885f95<")
            .replace(">16 bytes, base64<", ">AAAAAAAAAAAAAAAAAAAAAA==<")
            .replace(">PlayReady Object, base64<", ">AAAA<")
        )
        schema.assertValid(etree.fromstring(text.encode())[0][0])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "AcquirePackagingData"])
def test_its_types_take_the_samples_of_every_challenge(schema: etree.XMLSchema, name: str) -> None:
    for _, request, reply in exchanges(name, URL):
        for sample in (request, reply):
            root = etree.fromstring(sample.partition("\n\n")[2].encode())
            schema.assertValid(root[0][0])


def test_its_types_ignore_what_else_a_packager_sends(schema: etree.XMLSchema) -> None:
    sample = exchanges("AcquirePackagingData", URL)[0][1].partition("\n\n")[2]
    more = (
        '<BlackoutInformation xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>'
        "</StreamInformation>"
    )
    # As in the published help page of a deployed server, whose ids are any text.
    last = '<More xmlns="urn:x"/></challenge>'
    text = sample.replace("</StreamInformation>", more).replace("</challenge>", last)
    root = etree.fromstring(text.encode())
    schema.assertValid(root[0][0])
    for each in root[0][0].iter("{*}ProtectionSystemId"):
        each.text = "any text"
    schema.assertValid(root[0][0])


def test_it_has_the_operations_of_the_table_everywhere(wsdl: etree._Element) -> None:
    expected = list(OPERATIONS)
    assert names(wsdl, "w:portType[@name='RightsManagerSoap']/w:operation") == expected
    for binding, _ in BINDINGS:
        assert names(wsdl, f"w:binding[@name='{binding}']/w:operation") == expected
    assert names(wsdl, f"{SCHEMA}/s:element") == [
        element for name in expected for element in (name, name + "Response")
    ]


def test_every_reference_leads_somewhere(wsdl: etree._Element) -> None:
    defined = {
        (kind, f"{{{P}}}{name}")
        for kind in ("message", "portType", "binding")
        for name in names(wsdl, f"w:{kind}")
    }
    elements = {f"{{{P}}}{name}" for name in names(wsdl, f"{SCHEMA}/s:element")}
    for port in wsdl.findall("w:service/w:port", NS):
        assert ("binding", qname(port, "binding")) in defined
    for binding in wsdl.findall("w:binding", NS):
        assert ("portType", qname(binding, "type")) in defined
    for direction in wsdl.findall("w:portType/w:operation/*", NS):
        assert ("message", qname(direction, "message")) in defined
    for part in wsdl.findall("w:message/w:part", NS):
        assert part.get("name") == "parameters"
        assert qname(part, "element") in elements


@pytest.mark.parametrize(("binding", "prefix"), BINDINGS)
def test_both_bindings_are_document_literal_with_full_actions(
    wsdl: etree._Element, binding: str, prefix: str
) -> None:
    path = f"w:binding[@name='{binding}']"
    transport = wsdl.find(f"{path}/{prefix}:binding", NS)
    assert transport is not None
    assert transport.get("transport") == "http://schemas.xmlsoap.org/soap/http"
    for name in OPERATIONS:
        operation = wsdl.find(f"{path}/w:operation[@name='{name}']/{prefix}:operation", NS)
        assert operation is not None
        assert dict(operation.attrib) == {"soapAction": f"{P}/{name}", "style": "document"}
    bodies = wsdl.findall(f"{path}/w:operation/*/{prefix}:body", NS)
    assert [body.get("use") for body in bodies] == ["literal"] * 18


def test_a_challenge_is_mixed_content_that_is_not_validated(wsdl: etree._Element) -> None:
    path = f"{SCHEMA}/s:element[@name='JoinDomain']//s:element[@name='challenge']"
    challenge = wsdl.find(path + "/s:complexType", NS)
    assert challenge is not None
    assert challenge.get("mixed") == "true"
    any_ = challenge.find("s:sequence/s:any", NS)
    assert any_ is not None
    assert any_.get("processContents") == "skip"


@pytest.mark.parametrize("url", [URL, "http://h/\"&<>'/a.asmx"])
def test_the_address_is_filled_in_and_escaped(url: str) -> None:
    root: Any = etree.fromstring(build_wsdl(url))
    assert [port.get("location") for port in root.findall(".//{*}address")] == [url, url]


def test_each_schema_comes_after_those_that_it_refers_to(wsdl: etree._Element) -> None:
    # Four generators resolve names in the order of the document.
    namespaces = [schema.get("targetNamespace") for schema in wsdl.findall("w:types/s:schema", NS)]
    assert namespaces == [f"{P}/AcquirePackagingData/v1.0", P]


def test_each_local_element_has_a_type(wsdl: etree._Element) -> None:
    for element in wsdl.iterfind(".//s:element", NS):
        assert element.get("type") or element.get("ref") or len(element), dict(element.attrib)
