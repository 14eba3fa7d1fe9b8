"""The SOAP server alone, with stub services, called in process."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from lxml import etree

from rightsmanager.operations.request import Request
from rightsmanager.protocol.messages.operations import OPERATIONS, Role
from rightsmanager.soap.application import build
from rightsmanager.soap.server import SoapServer

Services = Mapping[str, Callable[[Request], bytes]]
Written = Callable[..., bytes]
"""Builds a request's body."""

P = "http://schemas.microsoft.com/DRM/2007/03/protocols"


@dataclass(frozen=True)
class Answer:
    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def fault(self) -> etree._Element:
        fault = etree.fromstring(self.body).find(".//{*}Fault")
        assert fault is not None
        return fault

    @property
    def code(self) -> str | None:
        return etree.fromstring(self.body).findtext(".//Exception/StatusCode")


class ServerClient:
    def __init__(self, server: SoapServer) -> None:
        self._server = server

    def __call__(
        self, body: bytes, url: str = "http://h/rightsmanager.asmx", **more: object
    ) -> Answer:
        got: list[Any] = []
        environ: dict[str, Any] = {
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            **more,
        }
        pieces = self._server(environ, lambda *arguments: got.append(arguments), url)
        return Answer(got[0][0], dict(got[0][1]), b"".join(pieces))


def name_it(request: Request) -> bytes:
    name = request.envelope.operation
    return f'<{name}Response xmlns="{P}"></{name}Response>'.encode()


Calling = Callable[..., ServerClient]
"""Makes a caller of a server with these services in these roles."""


@pytest.fixture
def calling() -> Calling:
    def make(
        services: Services | None = None, roles: frozenset[Role] = frozenset(Role)
    ) -> ServerClient:
        return ServerClient(
            SoapServer(build(services or dict.fromkeys(OPERATIONS, name_it), roles))
        )

    return make


@pytest.fixture
def call(calling: Calling) -> ServerClient:
    return calling()


@pytest.fixture
def envelope() -> Written:
    def build_one(
        operation: str = "AcquireLicense",
        namespace: str = "http://schemas.xmlsoap.org/soap/envelope/",
        header: str = "",
    ) -> bytes:
        return (
            f'<s:Envelope xmlns:s="{namespace}">{header}<s:Body>'
            f'<{operation} xmlns="{P}"/></s:Body></s:Envelope>'
        ).encode()

    return build_one
