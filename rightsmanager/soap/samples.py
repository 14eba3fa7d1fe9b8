"""Sample messages of the nine operations, for people to read: the table as XML with HTTP headers.

A challenge is signed and, all but two, encrypted; a description stands in for each value.
"""

from collections.abc import Iterable
from textwrap import indent
from typing import Final
from urllib.parse import urlsplit

from rightsmanager.protocol.messages.operations import OPERATIONS, Message, Operation
from rightsmanager.protocol.wire import MESSAGES, PACKAGING, PROTOCOLS, XMLDSIG, XMLENC
from rightsmanager.protocol.xml.envelope import SoapVersion

_SIGNATURE: Final = f'<Signature xmlns="{XMLDSIG}">…</Signature>'
_ENCRYPTED: Final = f'<EncryptedData xmlns="{XMLENC}">…</EncryptedData>'
_CHAIN: Final = "<SigningCertificateChain>chain, base64</SigningCertificateChain>"
_TITLES: Final = {SoapVersion.SOAP11: "SOAP 1.1", SoapVersion.SOAP12: "SOAP 1.2"}


def exchanges(name: str, url: str) -> tuple[tuple[str, str, str], ...]:
    """Return title, request and reply of an operation in each version of SOAP."""
    operation = OPERATIONS[name]
    return tuple(
        (
            title,
            f"{_request_head(version, operation, url)}\n\n{_envelope(version, _asking(operation))}",
            (
                f"HTTP/1.1 200 OK\nContent-Type: {_type(version)}\n\n"
                f"{_envelope(version, _answering(operation))}"
            ),
        )
        for version, title in _TITLES.items()
    )


def _request_head(version: SoapVersion, operation: Operation, url: str) -> str:
    parts = urlsplit(url)
    action = f'"{PROTOCOLS}/{operation.name}"'
    lines = {
        SoapVersion.SOAP11: f"Content-Type: {_type(version)}\nSOAPAction: {action}",
        SoapVersion.SOAP12: f"Content-Type: {_type(version)}; action={action}",
    }
    return f"POST {parts.path or '/'} HTTP/1.1\nHost: {parts.netloc}\n{lines[version]}"


def _type(version: SoapVersion) -> str:
    plain = version is SoapVersion.SOAP11
    return ("text/xml" if plain else "application/soap+xml") + "; charset=utf-8"


def _envelope(version: SoapVersion, child: str) -> str:
    body = _element("soap:Body", "", [child])
    return '<?xml version="1.0" encoding="utf-8"?>\n' + _element(
        "soap:Envelope", f' xmlns:soap="{version.namespace}"', [body]
    )


def _asking(operation: Operation) -> str:
    return _element(
        operation.name,
        f' xmlns="{PROTOCOLS}"',
        [_wrap(operation.challenge, "challenge", "Challenge", [_ENCRYPTED], [_SIGNATURE])],
    )


def _answering(operation: Operation) -> str:
    name = operation.name
    return _element(
        f"{name}Response",
        f' xmlns="{PROTOCOLS}"',
        [_wrap(operation.reply, f"{name}Result", "Response", [_CHAIN], [_SIGNATURE])],
    )


def _wrap(message: Message, outer: str, inner: str, sealed: list[str], signature: list[str]) -> str:
    if not message.element:
        return _element(outer, f' xmlns="{PACKAGING}"', message.children)
    children = ["<Version>1</Version>", *message.children, *(sealed if message.sealed else ())]
    signed = _element(message.element, f' xmlns="{PROTOCOLS}" Id="SignedData"', children)
    beside = signature if message.sealed else []
    return _element(outer, "", [_element(inner, f' xmlns="{MESSAGES}"', [signed, *beside])])


def _element(name: str, attributes: str, children: Iterable[str]) -> str:
    inner = indent("\n".join(children), "  ")
    return f"<{name}{attributes}>\n{inner}\n</{name}>"
