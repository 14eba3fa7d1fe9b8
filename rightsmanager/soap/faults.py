"""Refusals as SOAP faults, in both versions, ready bytes.

    SOAP 1.1   Fault/{faultcode, faultstring, faultactor, detail}
    SOAP 1.2   Fault/{Code/Value, Reason/Text, Detail}
    detail     Exception/{StatusCode, CustomData ?, RedirectUrl ?, the domain's four ?}

Below the Body nothing has a prefix but the Fault itself, which is the envelope's own.
"""

import re
from typing import Final
from xml.sax import saxutils

from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.protocol.xml.envelope import SoapVersion
from rightsmanager.soap.spyne_import import Fault

TEXT_LIMIT: Final = 2048
"""Maximum length of a faultstring in characters, since it may quote the client's input."""
DATA_LIMIT: Final = 65536
"""Maximum length of CustomData in characters."""

_EXCEPTION_TYPE: Final = "System.Web.Services.Protocols.SoapException: "
"""The prefix of every text, since the original is written in .NET."""
_DETAILS: Final = (
    ("CustomData", "custom_data"),
    ("RedirectUrl", "redirect_url"),
)
"""Elements after StatusCode, in their order, by the attribute of a refusal that fills each."""
_DOMAIN_DETAILS: Final = (
    ("DomainServiceID", "service_id"),
    ("AccountID", "account_id"),
    ("FriendlyName", "friendly_name"),
    ("DomainURL", "url"),
)
"""Elements after those, by the attribute of a refusal's domain."""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotUnderstood(InvalidMessage):
    """A header block that must be understood is not; SOAP has a fault code of its own for it."""


class RefusalFault(Fault):  # type: ignore[misc] # spyne ships no types
    """A refusal on its way through spyne."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__("Server", refusal.text)
        self.refusal = refusal


def clean(text: str, limit: int) -> str:
    """Return the text without characters that XML cannot hold, at most `limit` characters long."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def build_fault(version: SoapVersion, refusal: Refusal, actor: str) -> bytes:
    """Return the Fault element for the Body of an envelope of this version.

    `actor` is the URL of the request with its query, keys masked; SOAP 1.1 has a place for it.
    """
    reason = _text(_EXCEPTION_TYPE + refusal.text, TEXT_LIMIT)
    return _FORMS[version](refusal, reason, _text(actor, TEXT_LIMIT)).encode()


def _text(text: str, limit: int) -> str:
    # A bare carriage return would be read as a line feed.
    return saxutils.escape(clean(text, limit), {"\r": "&#13;"})


def _soap11(refusal: Refusal, reason: str, actor: str) -> str:
    code = "MustUnderstand" if isinstance(refusal, NotUnderstood) else "Server"
    return (
        f"<soap:Fault><faultcode>soap:{code}</faultcode><faultstring>{reason}</faultstring>"
        f"<faultactor>{actor}</faultactor><detail>{_exception(refusal)}</detail></soap:Fault>"
    )


def _soap12(refusal: Refusal, reason: str, _actor: str) -> str:
    code = "MustUnderstand" if isinstance(refusal, NotUnderstood) else "Receiver"
    return (
        f"<soap:Fault><soap:Code><soap:Value>soap:{code}</soap:Value></soap:Code>"
        f'<soap:Reason><soap:Text xml:lang="en">{reason}</soap:Text></soap:Reason>'
        f"<soap:Detail>{_exception(refusal)}</soap:Detail></soap:Fault>"
    )


def _exception(refusal: Refusal) -> str:
    values = [(name, getattr(refusal, attribute)) for name, attribute in _DETAILS]
    if refusal.domain is not None:
        values += [(name, getattr(refusal.domain, attr)) for name, attr in _DOMAIN_DETAILS]
    details = "".join(
        f"<{name}>{_text(value, DATA_LIMIT)}</{name}>"
        for name, value in values
        if value is not None
    )
    return f"<Exception><StatusCode>{refusal.status.hex}</StatusCode>{details}</Exception>"


_FORMS: Final = {SoapVersion.SOAP11: _soap11, SoapVersion.SOAP12: _soap12}
