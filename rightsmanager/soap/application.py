"""The one spyne application: nine operations, one line each.

Each method's result is the Body's child, ready bytes; see rightsmanager.soap.protocols.
"""

from collections.abc import Callable, Mapping
from typing import cast

from rightsmanager.errors import ServiceSpecific
from rightsmanager.operations.request import Request
from rightsmanager.protocol.messages.operations import OPERATIONS, Operation, Role
from rightsmanager.protocol.wire import PROTOCOLS
from rightsmanager.protocol.xml.envelope import SoapVersion
from rightsmanager.soap.faults import RefusalFault
from rightsmanager.soap.incidents import Incidents
from rightsmanager.soap.protocols import Incoming, Outgoing
from rightsmanager.soap.spyne_import import (
    AnyXml,
    Application,
    InterfaceDocumentsBase,
    Service,
    SpyneContext,
    rpc,
)

ServiceOperation = Callable[[Request], bytes]
"""The implementation of an operation: returns the Body's child in UTF-8 or raises a Refusal."""


def build(
    services: Mapping[str, ServiceOperation],
    roles: frozenset[Role],
    incidents: Incidents | None = None,
) -> "RightsManagerApplication":
    """Return the application that answers by these services, by wire name, in these roles.

    An operation of another role, or without a service, is answered with 0x8004c604.
    """
    answers = {
        name: refusing(reason)
        if (reason := why_not(operation, services, roles))
        else services[name]
        for name, operation in OPERATIONS.items()
    }
    return RightsManagerApplication(answers, incidents or Incidents())


def why_not(
    operation: Operation, services: Mapping[str, ServiceOperation], roles: frozenset[Role]
) -> str:
    """Return the reason that an operation is not served, empty if it is."""
    if operation.role not in roles:
        return f"{operation.name} is not served here: the role {operation.role.value} is off"
    if operation.name not in services:
        return f"{operation.name} is not built yet"
    return ""


def refusing(reason: str) -> ServiceOperation:
    """Return an operation that refuses every request for this reason."""

    def refuse(_request: Request) -> bytes:
        raise ServiceSpecific(reason)

    return refuse


Method = Callable[[SpyneContext, Request], bytes]
"""One of the nine methods; takes spyne's context and the request."""


def wire() -> Callable[[Method], Method]:
    """Return a fresh decorator: spyne's, shared by two methods, drops the second one's result."""
    return cast("Callable[[Method], Method]", rpc(AnyXml, _returns=AnyXml))


class RightsManager(Service):  # type: ignore[misc] # spyne ships no types
    """The nine operations, under their wire names."""

    # ruff: noqa: N802, N805, D102 -- wire names; spyne gives its context in place of self

    @wire()
    def AcquireLicense(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "AcquireLicense", challenge)

    @wire()
    def AcknowledgeLicense(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "AcknowledgeLicense", challenge)

    @wire()
    def JoinDomain(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "JoinDomain", challenge)

    @wire()
    def LeaveDomain(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "LeaveDomain", challenge)

    @wire()
    def GetMeteringCertificate(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "GetMeteringCertificate", challenge)

    @wire()
    def ProcessMeteringData(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "ProcessMeteringData", challenge)

    @wire()
    def ProcessSecureStopData(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "ProcessSecureStopData", challenge)

    @wire()
    def ProcessDeleteLicenseData(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "ProcessDeleteLicenseData", challenge)

    @wire()
    def AcquirePackagingData(ctx: SpyneContext, challenge: Request) -> bytes:
        return _answer(ctx, "AcquirePackagingData", challenge)


def _answer(ctx: SpyneContext, operation: str, challenge: Request) -> bytes:
    answer: ServiceOperation = ctx.app.config[operation]
    return answer(challenge)


def _no_documents(interface: object) -> object:
    """Return no WSDL: clients expect another one than spyne's, which is written by hand."""
    return InterfaceDocumentsBase(interface, wsdl11=None)


class RightsManagerApplication(Application):  # type: ignore[misc] # spyne ships no types
    """The application; every exception leaves it as a fault."""

    def __init__(self, answers: Mapping[str, ServiceOperation], incidents: Incidents) -> None:
        replies = {version: Outgoing(version) for version in SoapVersion}
        super().__init__(
            [RightsManager],
            tns=PROTOCOLS,
            name="RightsManager",
            in_protocol=Incoming(replies),
            out_protocol=replies[SoapVersion.SOAP11],
            config=answers,
            documents_container=_no_documents,
        )
        # spyne would do so at the first SOAP 1.2 call, and two threads at once would collide.
        replies[SoapVersion.SOAP12].set_app(self)
        self.incidents = incidents

    def call_wrapper(self, ctx: SpyneContext) -> bytes:
        """Return the operation's result; raises RefusalFault in place of any other exception."""
        try:
            return cast("bytes", super().call_wrapper(ctx))
        except Exception as error:  # noqa: BLE001 -- otherwise spyne would write the fault's text
            raise RefusalFault(self.incidents.refusal(error)) from None
