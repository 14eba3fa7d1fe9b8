"""An entry for JSON: the format of `journal list`, of the export and of the API."""

from datetime import UTC, datetime
from typing import Any

from rightsmanager.protocol.wire import encode_base64
from rightsmanager.store.journal.entries import Entry, StoredEntry


def entry_facts(entry: Entry) -> dict[str, Any]:
    """Return all facts of an entry but its bodies, under names that stay."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "at": time_text(entry.at_ms),
        "request_id": entry.request_id,
        "operation": entry.operation,
        "outcome": entry.outcome,
        "failed": entry.failed,
        "stage": entry.stage,
        "reason": entry.reason,
        "device": entry.device,
        "account": entry.account,
        "kids": [kid.text for kid in entry.kids],
        "client": entry.client,
        "url": entry.url,
        "query": entry.query,
        "custom_data": entry.custom_data,
        "user_agent": entry.user_agent,
        "soap_action": entry.soap_action,
        "content_type": entry.content_type,
        "warnings": list(entry.warnings),
        "http_status": entry.http_status,
        "ms": entry.total_ms,
        "stages_ms": dict(entry.stages_ms),
        "bytes_in": entry.bytes_in,
        "bytes_out": entry.bytes_out,
        "worker": entry.worker,
        "is_masked": entry.is_masked,
        "is_request_cut": entry.is_request_cut,
        "is_reply_cut": entry.is_reply_cut,
        "has_request": entry.has_request,
        "has_reply": entry.has_reply,
        "actor": entry.actor,
        "subject": entry.subject,
        "injected": entry.injected,
    }


def stored_facts(stored: StoredEntry) -> dict[str, Any]:
    """Return the facts of an entry with its bodies in base64, None for one that is not stored."""
    entry = stored.entry
    return {
        **entry_facts(entry),
        "request": encode_base64(stored.request) if entry.has_request else None,
        "reply": encode_base64(stored.reply) if entry.has_reply else None,
    }


def time_text(at_ms: int) -> str:
    """Return Unix milliseconds as ISO 8601 in UTC, such as `2026-01-31T12:00:00.000+00:00`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
