"""Effects in place of the operation: faults with any status code, and other replies."""

from rightsmanager.errors import REFUSALS, DomainFacts, Refusal, StatusCode
from rightsmanager.lab.faults.fault import Fault
from rightsmanager.operations.context import Context
from rightsmanager.protocol.wire import AccountId, ServiceId

_KNOWN = frozenset(code.value for code in StatusCode)


class InjectedRefusal(Refusal):
    """A fault that a world's control asked for, with a status code that has no class."""


class AnyStatus(int):
    """A status code that is not of the published list."""

    @property
    def hex(self) -> str:
        """The code as faults spell it."""
        return f"0x{int(self):08x}"


def refusal_of(fault: Fault, context: Context, url: str) -> Refusal:
    """Return the refusal that a fault describes; `url` is the request's."""
    code = int(fault.text("status"), 16)
    return _class_of(code)(
        fault.optional("text") or f"a fault of the kind {fault.kind} was injected",
        custom_data=fault.optional("custom_data"),
        redirect_url=fault.optional("redirect_url"),
        domain=_domain(fault, context, url),
    )


def _class_of(code: int) -> type[Refusal]:
    if code in _KNOWN:
        return REFUSALS[StatusCode(code)]
    return type("InjectedRefusal", (InjectedRefusal,), {"status": AnyStatus(code)})


def _domain(fault: Fault, context: Context, url: str) -> DomainFacts | None:
    account, service = fault.optional("account"), fault.optional("service")
    name, domain_url = fault.optional("friendly_name"), fault.optional("domain_url")
    if (account, service, name, domain_url) == (None, None, None, None):
        return None
    defaults = context.domains.defaults
    if account is not None:
        service = service or defaults.service_id.text
        domain_url = domain_url or defaults.url or url
    return DomainFacts(
        None if service is None else ServiceId.from_text(service).base64,
        None if account is None else AccountId.from_text(account).base64,
        name,
        domain_url,
    )
