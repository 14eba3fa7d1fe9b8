"""Requests to the back end as JSON documents: facts, licences and events.

The names are those of Facts, Grant, Policy and Event. A GUID is 8-4-4-4-12 hexadecimal digits,
other bytes are base64, and a missing value is null. No document has a content key, unless the
client's query or CustomData has one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final

from rightsmanager.hooks.facts import Event, Facts
from rightsmanager.policy.grants import Grant, Policy, plain_value
from rightsmanager.protocol.formats.bcert import Certificate, Feature
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.wire import Guid, encode_base64

VERSION: Final = 1

Document = dict[str, object]

_TEXTS: Final = (
    *("operation", "request_id", "protocol", "url", "query", "remote"),
    *("device", "security_level", "client_version", "client_time", "custom_data"),
    "friendly_name",
)
"""The fields of Facts that are the same in JSON."""
_GUIDS: Final = ("account_id", "metering_id", "transaction_id", "session_id")


def build_decision_request(facts: Facts, grants: Sequence[Grant]) -> Document:
    """Return the document that asks for a decision."""
    return {
        "version": VERSION,
        **{name: getattr(facts, name) for name in _TEXTS},
        **{name: _guid(getattr(facts, name)) for name in _GUIDS},
        "query_values": dict(facts.query_values),
        "headers": dict(facts.headers),
        "features": list(facts.features),
        "chain": [_build_certificate(each) for each in facts.chain],
        "kids": [kid.text for kid in facts.kids],
        "header": _build_header(facts.header),
        **_build_reports(facts),
        "licenses": [_build_license(grant) for grant in grants],
    }


def build_event(event: Event) -> Document:
    """Return the document of an outcome."""
    refusal = event.refusal
    return {
        "version": VERSION,
        "operation": event.operation,
        "request_id": event.request_id,
        "device": event.device,
        "kids": [kid.text for kid in event.kids],
        "refusal": refusal and {"status": refusal.status.hex, "text": refusal.text},
    }


def _guid(guid: Guid | None) -> str | None:
    return None if guid is None else guid.text


def _build_reports(facts: Facts) -> Document:
    """Return the content of reports and of packagers' requests."""
    return {
        "usage": [
            {"kid": each.kid.text, "action": each.action, "value": each.value}
            for each in facts.usage
        ],
        "sessions": [
            {
                "session_id": each.session_id.text,
                "kid": each.kid.text,
                "start_time": each.start_time,
                "update_time": each.update_time,
                "stopped": each.stopped,
            }
            for each in facts.sessions
        ],
        "results": [
            {"kid": each.kid.text, "result": f"0x{each.result:08x}"} for each in facts.results
        ],
        "keys": [
            {
                "program": each.program,
                "period": each.period,
                "kid": _guid(each.kid),
                "scheme": each.scheme,
            }
            for each in facts.keys
        ],
    }


def _build_certificate(certificate: Certificate) -> Document:
    maker = certificate.manufacturer
    return {
        "type": certificate.type.name,
        "security_level": certificate.security_level,
        "expiry": certificate.expiry,
        "certificate_id": encode_base64(certificate.certificate_id),
        "client_id": encode_base64(certificate.client_id),
        "digest": encode_base64(certificate.digest),
        "features": [
            each.name if isinstance(each, Feature) else each for each in certificate.features
        ],
        "manufacturer": maker
        and {
            "name": maker.name,
            "model_name": maker.model_name,
            "model_number": maker.model_number,
        },
    }


def _build_header(header: Header | None) -> Document | None:
    if header is None:
        return None
    return {
        "version": header.version.value,
        "kids": [{"kid": each.kid.text, "algid": each.algid} for each in header.kids],
        "la_url": header.la_url,
        "lui_url": header.lui_url,
        "ds_id": _guid(header.ds_id),
        "custom_attributes": header.custom_attributes,
        "decryptor_setup": header.decryptor_setup,
    }


def _build_license(grant: Grant) -> Document:
    return {
        "kid": grant.kid.text,
        "is_root": grant.is_root,
        "root_kid": _guid(grant.root_kid),
        "account_id": _guid(grant.account_id),
        "key_type": grant.key_type and grant.key_type.name,
        "policy": build_policy(grant.policy),
    }


def build_policy(policy: Policy) -> Mapping[str, object]:
    """Return every field of a policy."""
    return {each.name: plain_value(getattr(policy, each.name)) for each in fields(policy)}
