"""The front with stub services, called in process; gunicorn serves `conftest:make_front()`."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from flask import Flask
from lxml import etree

from rightsmanager.errors import ServiceSpecific
from rightsmanager.inspection.explanation import Defaults, explain_form
from rightsmanager.inspection.reference import parameter_rows
from rightsmanager.operations.request import Request
from rightsmanager.protocol.messages.operations import OPERATIONS, Role
from rightsmanager.serving.worker import Worker, WorkerOptions
from rightsmanager.soap.application import build, why_not
from rightsmanager.soap.samples import exchanges
from rightsmanager.soap.server import SoapServer
from rightsmanager.soap.wsdl import build_wsdl
from rightsmanager.web.application import build_application
from rightsmanager.web.pages import Site
from rightsmanager.web.router import Router, RouterSettings, Wsgi


class QuickWorker(Worker):
    """The worker with a deadline that tests can wait for."""

    options = WorkerOptions(request_seconds=1.0)


Written = Callable[..., bytes]
"""Builds a request's body."""

P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


PUBLIC_FILES = {"root.pub": b"r" * 64, "metering.bin": b"\0chain"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return etree.fromstring(self.body).findtext(".//Exception/StatusCode")


def echo(request: Request) -> bytes:
    """Answer with what came, so that tests see it."""
    name = request.envelope.operation
    size = len(request.envelope.text)
    return (
        f'<{name}Response xmlns="{P}"><{name}Result>{size}</{name}Result></{name}Response>'.encode()
    )


def refuse(_request: Request) -> bytes:
    raise ServiceSpecific("the account is full", custom_data="<5> & more\nlines")


def make_front(
    settings: RouterSettings | None = None,
    more: Mapping[str, Callable[[Request], bytes]] | None = None,
    api: Flask | None = None,
    log: Any = None,  # noqa: ANN401 -- any structlog logger
) -> Router:
    services = {"AcquireLicense": echo, "LeaveDomain": refuse, **(more or {})}
    roles = frozenset(Role) - {Role.PACKAGING}
    reasons = {name: why_not(operation, services, roles) for name, operation in OPERATIONS.items()}
    site = Site(OPERATIONS, reasons, exchanges, build_wsdl, explain, parameter_rows(), PUBLIC_FILES)
    return Router(
        SoapServer(build(services, roles)),
        lambda: build_application(site, api, log),
        settings or RouterSettings(max_body=4096, body_seconds=0.5),
    )


def explain(*, asked: str, custom_data: str, kids: str, level: str) -> object:
    return explain_form(
        asked=asked,
        custom_data=custom_data,
        kids=kids,
        level=level,
        defaults=Defaults(),
        now=1790000000,
    )


def envelope(operation: str = "AcquireLicense", namespace: str = SOAP11, inner: str = "") -> bytes:
    return (
        f'<soap:Envelope xmlns:soap="{namespace}"><soap:Body><{operation} xmlns="{P}">{inner}'
        f"</{operation}></soap:Body></soap:Envelope>"
    ).encode()


class ServerClient:
    """Calls a front as a WSGI server would."""

    def __init__(self, front: Wsgi) -> None:
        self.front = front

    def __call__(self, method: str, target: str, body: bytes = b"", **environ: object) -> Answer:
        path, _, query = target.partition("?")
        got: list[Any] = []
        full: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": "192.0.2.7",
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)) if body else "",
            **environ,
        }
        setup_testing_defaults(full)
        pieces = self.front(full, lambda *arguments: got.append(arguments))
        (status, headers, *_), body = got[0], b"".join(pieces)
        assert len({name.lower() for name, _ in headers}) == len(headers)
        return Answer(int(status[:3]), dict(headers), body)

    def post(self, body: bytes, **environ: object) -> Answer:
        return self("POST", "/service/RightsManager.asmx", body, **environ)


Calling = Callable[..., ServerClient]
"""Makes a caller of a front with other settings or services."""


@pytest.fixture
def call() -> ServerClient:
    return ServerClient(make_front())


@pytest.fixture
def calling() -> Calling:
    return lambda *arguments, **options: ServerClient(make_front(*arguments, **options))


@pytest.fixture(name="envelope")
def envelope_fixture() -> Written:
    return envelope
