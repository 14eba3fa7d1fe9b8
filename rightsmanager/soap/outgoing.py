"""The out-protocol: replies and faults as bytes, spliced and never parsed or serialised again.

A signed element is dead as soon as a serialiser touches it, so the operation's bytes go between
the envelope's own as they are. The envelope is written the way ASP.NET writes it:

    <?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap=… xmlns:xsi=… xmlns:xsd=…>
    <soap:Body>…</soap:Body></soap:Envelope>
"""

from typing import Final

from rightsmanager.protocol.xml.envelope import SoapVersion
from rightsmanager.soap.faults import build_fault
from rightsmanager.soap.spyne_import import OutProtocolBase, SpyneContext

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
            child = build_fault(self.version, ctx.out_error.refusal, ctx.udc)
        ctx.out_document = build_envelope(self.version, child)

    def create_out_string(self, ctx: SpyneContext, out_string_encoding: str | None = None) -> None:
        """Join the pieces."""
        del out_string_encoding
        ctx.out_string = [b"".join(ctx.out_document)]
