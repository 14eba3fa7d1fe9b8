"""The checks: each grades one behaviour by the evidence of a scenario."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rightsmanager.conformance import sources
from rightsmanager.conformance.evidence import (
    ACKNOWLEDGE,
    ACQUIRE,
    DELETE,
    JOIN,
    LEAVE,
    METER,
    STOP,
    Evidence,
    Seen,
)
from rightsmanager.conformance.sources import Source

MAX_RETRIES: Final = 3
"""Silent retries after a server's internal error."""
ELSEWHERE: Final = "/elsewhere/rightsmanager.asmx"
"""The end of the URL that the scenario of a redirect leads to."""
METERED_PLAYS: Final = 4
"""All plays that the scenario of metering asks for."""


class Outcome(StrEnum):
    """The outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SEEN = "not seen"
    """The client sent nothing that shows it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check, its reason, and the journal's entries that show it."""

    outcome: Outcome
    text: str
    entries: tuple[int, ...] = ()


Grade = Callable[[Evidence], Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """A behaviour that is expected of clients."""

    name: str
    expected: str
    source: Source
    grade: Grade


def _found(holds: object, text: str, otherwise: str, entries: Iterable[Seen]) -> Finding:
    outcome = Outcome.PASSED if holds else Outcome.FAILED
    return Finding(outcome, text if holds else otherwise, tuple(each.id for each in entries))


def _failed(text: str, entries: Iterable[Seen]) -> Finding:
    return Finding(Outcome.FAILED, text, tuple(each.id for each in entries))


def _not_seen(text: str) -> Finding:
    return Finding(Outcome.NOT_SEEN, text)


# --- challenges -----------------------------------------------------------------------------------


def _nonce(evidence: Evidence) -> Finding:
    asked = evidence.of(ACQUIRE)
    nonces = [each.nonce for each in asked]
    if len(asked) < 2:  # noqa: PLR2004 -- one nonce says nothing
        return _not_seen(f"{len(asked)} licence requests, expected two")
    return _found(
        None not in nonces and len(set(nonces)) == len(nonces),
        f"{len(nonces)} licence requests, {len(nonces)} nonces",
        f"{len(nonces)} licence requests, {len(set(nonces) - {None})} different nonces",
        asked,
    )


def _exact(*names: str) -> Grade:
    def grade(evidence: Evidence) -> Finding:
        asked = [each for each in evidence.seen if each.checks]
        if not asked:
            return _not_seen("no challenge that can be decoded")
        wrong = [each for each in asked if any(each.checks.get(name) != "ok" for name in names)]
        first = wrong[0] if wrong else None
        reason = "" if first is None else first.reason or "the check of its decoded form failed"
        return _found(
            not wrong,
            f"{len(asked)} challenges verify",
            f"{len(wrong)} of {len(asked)} challenges do not verify: {reason}",
            wrong or asked,
        )

    return grade


def _lists(evidence: Evidence) -> Finding:
    first = next((each for each in evidence.of(ACQUIRE, 1) if each.given_lists), None)
    second = next(iter(evidence.of(ACQUIRE, 2)), None)
    if first is None or second is None:
        return _not_seen("no licence request after a reply with revocation lists")
    missing = [
        name
        for name in sorted(first.given_lists)
        if second.lists.get(name, -1) < evidence.lists.get(name, 0)
    ]
    return _found(
        not missing,
        f"it names the {len(first.given_lists)} lists that it got, at their versions",
        f"it does not name {', '.join(missing)} at the version that it got",
        (first, second),
    )


# --- status codes ---------------------------------------------------------------------------------


Reaction = Callable[[Evidence, Seen], Finding]
"""Grades what followed the first request that was refused with a status code."""


def _after(status: str, grade_reaction: Reaction) -> Grade:
    def grade(evidence: Evidence) -> Finding:
        refused = evidence.refused(status)
        if not refused:
            return _not_seen(f"no licence request was answered {status}")
        return grade_reaction(evidence, refused[0])

    return grade


def _retries(evidence: Evidence, refused: Seen) -> Finding:
    failed = evidence.refused(refused.outcome)
    retries = len(failed) - 1
    text = f"{retries} retries after {refused.outcome}"
    return _found(retries <= MAX_RETRIES, text, f"{text}, expected at most {MAX_RETRIES}", failed)


def _joins(evidence: Evidence, refused: Seen) -> Finding:
    status = refused.outcome
    joined = next((each for each in evidence.after(refused, JOIN) if each.is_ok), None)
    if joined is None:
        return _failed(f"no join after {status}", (refused,))
    again = evidence.after(joined, ACQUIRE)
    return _found(
        any(each.is_ok for each in again),
        f"it joined after {status} and got its licence",
        f"it joined after {status} and did not ask for its licence again",
        (refused, joined, *again),
    )


def _leaves(evidence: Evidence, refused: Seen) -> Finding:
    reaction = evidence.after(refused, JOIN, LEAVE)
    return _found(
        reaction,
        f"it left the domain, or joined again, after {refused.outcome}",
        f"it neither left the domain nor joined again after {refused.outcome}",
        (refused, *reaction),
    )


def _follows(evidence: Evidence, refused: Seen) -> Finding:
    later = evidence.after(refused, ACQUIRE)
    return _found(
        any(each.url.endswith(ELSEWHERE) for each in later),
        f"it asked at {ELSEWHERE}",
        f"it did not ask at the RedirectUrl, {ELSEWHERE}",
        (refused, *later),
    )


def _stops(evidence: Evidence, refused: Seen) -> Finding:
    later = evidence.after(refused, ACQUIRE)
    return _found(
        not later,
        f"no licence request after {refused.outcome}",
        f"{len(later)} licence requests after {refused.outcome}",
        (refused, *later),
    )


# --- licences -------------------------------------------------------------------------------------


def _acknowledges(evidence: Evidence) -> Finding:
    given = [each for each in evidence.of(ACQUIRE) if each.given_transaction_id is not None]
    if not given:
        return _not_seen("no reply with a TransactionID")
    sent = [
        each
        for each in evidence.of(ACKNOWLEDGE)
        if each.transaction_id == given[-1].given_transaction_id
    ]
    return _found(
        any(each.is_ok for each in sent),
        f"it acknowledged transaction {given[-1].given_transaction_id}",
        f"no accepted acknowledgement of transaction {given[-1].given_transaction_id}",
        (given[-1], *sent),
    )


def _refuses(evidence: Evidence) -> Finding:
    asked = evidence.of(ACQUIRE)
    if not asked:
        return _not_seen("no licence request")
    first, again = asked[0], asked[1:]
    until = again[0].id if again else evidence.seen[-1].id + 1
    accepted = [each for each in evidence.after(first, ACKNOWLEDGE) if each.id < until]
    if accepted:
        return _failed("it acknowledged the altered licence", (first, *accepted))
    return _found(
        again,
        "it did not keep the altered licence, and asked again",
        "it did not ask again: it kept the altered licence",
        (first, *again),
    )


# --- reports --------------------------------------------------------------------------------------


def _keeps_transaction(evidence: Evidence) -> Finding:
    sent = evidence.of(METER)
    if not sent:
        return _not_seen("no report of usage")
    if len(sent) == 1:
        return _failed("it did not send the report without a reply again", sent)
    ids = [each.transaction_id for each in sent[:2]]
    return _found(
        ids[0] == ids[1],
        f"it sent the report again under transaction {ids[0]}",
        f"it sent the report again under transaction {ids[1]}, expected {ids[0]}",
        sent[:2],
    )


def _clears(evidence: Evidence) -> Finding:
    sent = [each for each in evidence.of(METER) if each.is_ok]
    if not sent:
        return _not_seen("no accepted report of usage")
    return _found(
        evidence.plays == METERED_PLAYS,
        f"all {METERED_PLAYS} plays were counted once",
        f"{evidence.plays} plays were counted, expected {METERED_PLAYS}",
        sent,
    )


def _stop_reported(evidence: Evidence) -> Finding:
    if not any(each.is_ok for each in evidence.of(ACQUIRE)):
        return _not_seen("no licence with secure stop was issued")
    sent = evidence.of(STOP)
    return _found(
        evidence.stopped_sessions,
        "the end of the playback was reported",
        "no clean end of a playback was reported",
        sent,
    )


def _delete_reported(evidence: Evidence) -> Finding:
    if not any(each.is_ok for each in evidence.of(ACQUIRE)):
        return _not_seen("no persistent licence was issued")
    sent = evidence.of(DELETE)
    return _found(
        any(each.is_ok for each in sent),
        "the deletion was reported",
        "no deletion was reported",
        sent,
    )


# --- the table ------------------------------------------------------------------------------------

NONCE: Final = Check(
    "nonce-fresh", "Each licence request has a nonce of its own.", sources.NONCE, _nonce
)
DIGEST: Final = Check(
    "digest-exact",
    "DigestValue is the SHA-256 of the signed element as it stands alone.",
    sources.XMLDSIG,
    _exact("digest"),
)
SIGNATURE: Final = Check(
    "signature-exact",
    "SignatureValue verifies under the signing key of the certificate in the challenge.",
    sources.MESSAGES,
    _exact("signature", "signer"),
)
LISTS: Final = Check(
    "revocation-lists-named",
    "A challenge names the revocation lists that the client has, with their versions.",
    sources.MESSAGES,
    _lists,
)
C600: Final = Check(
    "c600-retries",
    f"After 0x8004c600 the client retries silently, at most {MAX_RETRIES} times.",
    sources.SERVER_ERRORS,
    _after("0x8004c600", _retries),
)
C605: Final = Check(
    "c605-joins",
    "After 0x8004c605 the client joins the domain and asks again.",
    sources.JOINING,
    _after("0x8004c605", _joins),
)
C606: Final = Check(
    "c606-renews",
    "After 0x8004c606 the client joins again, for the new revision, and asks again.",
    sources.JOINING,
    _after("0x8004c606", _joins),
)
C60A: Final = Check(
    "c60a-leaves-or-rejoins",
    "After 0x8004c60a the client leaves the domain, or joins it again.",
    sources.SERVER_ERRORS,
    _after("0x8004c60a", _leaves),
)
C60D: Final = Check(
    "c60d-follows",
    "After 0x8004c60d the client asks at the RedirectUrl.",
    sources.SERVER_ERRORS,
    _after("0x8004c60d", _follows),
)
C065: Final = Check(
    "c065-stops",
    "After 0x8004c065 the client asks for no further licence.",
    sources.SERVER_ERRORS,
    _after("0x8004c065", _stops),
)
ACKNOWLEDGES: Final = Check(
    "acknowledges",
    "A reply with a TransactionID is acknowledged under it.",
    sources.SERVERS,
    _acknowledges,
)
MAC: Final = Check(
    "mac-refused",
    "A licence whose MAC is wrong is refused.",
    sources.LICENSES,
    _refuses,
)
FOREIGN_NONCE: Final = Check(
    "nonce-refused",
    "A reply to another nonce is refused.",
    sources.NONCE,
    _refuses,
)
TRANSACTION: Final = Check(
    "metering-transaction-kept",
    "A report without a reply is sent again under its transaction id.",
    sources.METERING,
    _keeps_transaction,
)
CLEARED: Final = Check(
    "metering-cleared",
    "Usage is cleared once its report was accepted, and counted on its own after that.",
    sources.METERING,
    _clears,
)
SECURE_STOP: Final = Check(
    "secure-stop-reported",
    "The end of a playback under secure stop is reported.",
    sources.SECURE_STOP,
    _stop_reported,
)
SECURE_DELETE: Final = Check(
    "secure-delete-reported",
    "The deletion of a persistent licence is reported.",
    sources.SECURE_DELETE,
    _delete_reported,
)
