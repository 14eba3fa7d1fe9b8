"""Requests as a journal has them, in the order in which they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rightsmanager.conformance.evidence import Evidence, Seen

EXACT = {"digest": "ok", "signature": "ok", "signer": "ok"}


@dataclass
class Recorded:
    """Makes evidence."""

    seen: list[Seen] = field(default_factory=list)

    def add(self, operation: str, outcome: str = "ok", **more: Any) -> Recorded:  # noqa: ANN401 -- fields of Seen
        number = len(self.seen) + 1
        given: dict[str, Any] = {
            "step": 1,
            "reason": None,
            "url": "http://server.test/w/a/rightsmanager.asmx",
            "nonce": f"nonce {number}",
            "lists": {},
            "transaction_id": None,
            "given_lists": frozenset(),
            "given_transaction_id": None,
            "checks": EXACT,
        }
        self.seen.append(Seen(id=number, operation=operation, outcome=outcome, **{**given, **more}))
        return self

    def evidence(self, **more: Any) -> Evidence:  # noqa: ANN401 -- fields of Evidence
        return Evidence(seen=tuple(self.seen), **more)
