"""GetMeteringCertificate: a device gets the certificate that it encrypts its reports to."""

from dataclasses import replace

from rightsmanager.operations.context import Context, authenticate, build_report_facts
from rightsmanager.operations.request import Request
from rightsmanager.protocol.messages.metering import (
    open_certificate_request,
    seal_certificate_response,
)


def get_metering_certificate(context: Context, request: Request) -> bytes:
    """Return the reply to a GetMeteringCertificate challenge; nothing is recorded."""
    challenge = open_certificate_request(
        request.envelope, context.server_keys, context.backend, context.verifier.parse
    )
    device = authenticate(context, request, challenge, context.clock())
    if context.hooks.is_used:
        facts = build_report_facts(request, device, challenge.elements)
        context.hooks.decide(request.progress, replace(facts, metering_id=challenge.mid))
    certificate = context.metering_keys.find_certificate(challenge.mid)
    request.progress.recorded = request.progress.clock()
    return seal_certificate_response(
        challenge.mid,
        certificate,
        context.signing.chain,
        context.signing.key,
        custom_data=request.progress.reply_custom_data,
    )
