"""spyne's two protocols: envelopes in, ready bytes out.

A signed subtree is serialised once, by its operation, and only spliced in here: spyne's own
protocols would rename its prefixes and break the signature.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.facts import Progress
from rightsmanager.operations.request import REQUEST_ID, Request, RequestHeaders
from rightsmanager.policy.masking import mask_url
from rightsmanager.policy.rules import DecisionWarning, WarningCode
from rightsmanager.protocol.formats.input_forms import find_message
from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.protocol.wire import PROTOCOLS
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion, parse_envelope
from rightsmanager.protocol.xml.fastpath import parse_fast
from rightsmanager.soap.faults import NotUnderstood, build_fault
from rightsmanager.soap.spyne_import import InProtocolBase, OutProtocolBase, SpyneContext

CONTENT_TYPES: Final = {
    SoapVersion.SOAP11: "text/xml; charset=utf-8",
    SoapVersion.SOAP12: "application/soap+xml; charset=utf-8",
}
_HEADS: Final = {
    version: (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<soap:Envelope xmlns:soap="{version.namespace}"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>'
    ).encode()
    for version in SoapVersion
}
_TAIL: Final = b"</soap:Body></soap:Envelope>"


def build_envelope(version: SoapVersion, child: bytes) -> list[bytes]:
    """Return the pieces of an envelope of this version round the Body's child."""
    return [_HEADS[version], child, _TAIL]


class Outgoing(OutProtocolBase):  # type: ignore[misc] # spyne ships no types
    """Writes envelopes of one SOAP version."""

    def __init__(self, version: SoapVersion) -> None:
        super().__init__(mime_type=CONTENT_TYPES[version])
        self.version = version

    def serialize(self, ctx: SpyneContext, message: object) -> None:
        """Set the document to a list of byte pieces, of the reply or of the fault."""
        del message
        if ctx.out_error is None:
            child = ctx.out_object[0]
        else:
            actor = mask_url(ctx.udc, ctx.transport.req.get("QUERY_STRING", ""))
            child = build_fault(self.version, ctx.out_error.refusal, actor)
        ctx.out_document = build_envelope(self.version, child)

    def create_out_string(self, ctx: SpyneContext, out_string_encoding: str | None = None) -> None:
        """Join the pieces."""
        del out_string_encoding
        ctx.out_string = [b"".join(ctx.out_document)]


_ACTION_PARAMETER: Final = re.compile(r'(?i:;\s*action\s*=\s*)(?:"([^"]*)"|([^\s;"]+))')
_CHARSET: Final = re.compile(r'(?i:;\s*charset\s*=\s*)"?([^\s;"]{1,40})')
UTF16_WITHOUT_MARK: Final = (b"<\0", b"\0<")


def soap_version(content_type: str) -> SoapVersion:
    """Return the version to answer in as long as the envelope's is unknown."""
    is_soap12 = content_type.lstrip().lower().startswith("application/soap+xml")
    return SoapVersion.SOAP12 if is_soap12 else SoapVersion.SOAP11


def soap_action(environ: Mapping[str, Any]) -> str:
    """Return the action that the HTTP headers name, without quotes; empty if they name none."""
    action: str = environ.get("HTTP_SOAPACTION", "").strip().strip('"').strip()
    if action:
        return action
    match = _ACTION_PARAMETER.search(environ.get("CONTENT_TYPE", ""))
    return "" if match is None else match[1] or match[2] or ""


def operation_named(action: str) -> str:
    """Return the operation that an action names, empty for an unknown one."""
    if not action:
        return ""
    named = re.split("[/#:]", action)[-1]
    return named if named in OPERATIONS else ""


def refuse_unknown_operation(envelope: Envelope) -> None:
    """Raise a Refusal unless the Body's element is one of the nine operations in namespace P."""
    if envelope.namespace != PROTOCOLS:
        raise InvalidMessage(
            f"the Body's {envelope.operation} is in the namespace {envelope.namespace!r}, "
            f"expected {PROTOCOLS!r}"
        )
    if envelope.operation not in OPERATIONS:
        raise InvalidMessage(
            f"there is no operation {envelope.operation}, expected one of {', '.join(OPERATIONS)}"
        )


def refuse_other_action(action: str, operation: str) -> None:
    """Raise a Refusal for an action of another operation than the Body's.

    The Body decides, so an action that is not an operation's is ignored.
    """
    named = operation_named(action)
    if named not in {"", operation}:
        raise InvalidMessage(f"the SOAPAction names {named}, and the Body is {operation}")


def refuse_must_understand(blocks: tuple[str, ...]) -> None:
    """Refuse header blocks with mustUnderstand; the server understands none."""
    if blocks:
        raise NotUnderstood(f"the header {blocks[0]} must be understood, and no header is")


def read_envelope(body: bytes, content_type: str = "") -> tuple[Envelope, str]:
    """Return the envelope, and the forms around it, "" for none.

    A player should post the Challenge of a PlayReadyKeyMessage. Many post the whole message. It is
    refused if the Content-Type contradicts its bytes too.
    """
    try:
        return parse_fast(body), ""
    except InvalidMessage:
        found = find_message(body)
        if found is None:
            raise
    refuse_other_charset(body, content_type, found.place)
    return parse_envelope(found.data), found.place


def refuse_other_charset(body: bytes, content_type: str, place: str) -> None:
    """Raise a Refusal for UTF-16 without a mark under another declared charset (RFC 7303, 3.2)."""
    declared = _CHARSET.search(content_type)
    if declared and body[:2] in UTF16_WITHOUT_MARK and not declared[1].lower().startswith("utf-16"):
        raise InvalidMessage(
            f"the body is UTF-16 and its Content-Type says {declared[1]}; its message was found "
            f"in {place}: decode that and post it alone"
        )


def make_progress(wrapping: str) -> Progress:
    """Return the progress of a new request, with a warning of the forms around its envelope."""
    if not wrapping:
        return Progress()
    text = f"the body is not a SOAP envelope: it was found in {wrapping}"
    return Progress(warnings=(DecisionWarning.of(WarningCode.WRAPPED, text),))


class Incoming(InProtocolBase):  # type: ignore[misc] # spyne ships no types
    """Reads envelopes of both SOAP versions."""

    def __init__(self, answers: Mapping[SoapVersion, Outgoing]) -> None:
        super().__init__()
        self._answers = answers

    def create_in_document(self, ctx: SpyneContext, in_string_encoding: str | None = None) -> None:
        """Parse the body, and choose the out-protocol by its version."""
        del in_string_encoding
        content_type = ctx.transport.req.get("CONTENT_TYPE", "")
        ctx.out_protocol = self._answers[soap_version(content_type)]
        ctx.in_document, ctx.wrapping = read_envelope(b"".join(ctx.in_string), content_type)
        ctx.out_protocol = self._answers[ctx.in_document.version]

    def decompose_incoming_envelope(self, ctx: SpyneContext, message: object) -> None:
        """Set the operation's name after all checks."""
        del message
        envelope = ctx.in_document
        refuse_must_understand(envelope.must_understand)
        refuse_unknown_operation(envelope)
        refuse_other_action(soap_action(ctx.transport.req), envelope.operation)
        ctx.method_request_string = f"{{{PROTOCOLS}}}{envelope.operation}"

    def generate_method_contexts(self, ctx: SpyneContext) -> tuple[Any]:
        """Return the context itself: no operation has auxiliary methods to copy it for."""
        (ctx.descriptor,) = self.get_call_handles(ctx)
        return (ctx,)

    def deserialize(self, ctx: SpyneContext, message: object) -> None:
        """Set the operation's one argument to the request as it came."""
        del message
        environ = ctx.transport.req
        ctx.in_object = [
            Request(
                envelope=ctx.in_document,
                url=ctx.udc,
                query=environ.get("QUERY_STRING", ""),
                headers=RequestHeaders(environ),
                remote=environ.get("REMOTE_ADDR", ""),
                progress=make_progress(ctx.wrapping),
                request_id=environ.get(REQUEST_ID, ""),
                socket=environ.get("gunicorn.socket"),
            )
        ]
