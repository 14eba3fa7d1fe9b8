"""Each check, with evidence of the right behaviour, of the wrong one, and of none."""

from __future__ import annotations

import pytest

from rightsmanager.conformance import checks
from rightsmanager.conformance.checks import Check, Outcome
from rightsmanager.conformance.evidence import (
    ACKNOWLEDGE,
    ACQUIRE,
    DELETE,
    JOIN,
    LEAVE,
    METER,
    STOP,
    Evidence,
)
from rightsmanager.conformance.scenarios import SCENARIOS
from tests.conformance.evidence import EXACT, Recorded

ELSEWHERE = f"http://server.test/w/a{checks.ELSEWHERE}"
C065, C600, C605, C606 = "0x8004c065", "0x8004c600", "0x8004c605", "0x8004c606"
C60A, C60D = "0x8004c60a", "0x8004c60d"
ALL = [check for scenario in SCENARIOS for check in scenario.checks]


def record() -> Recorded:
    return Recorded()


def repeated(outcome: str, times: int) -> Recorded:
    found = Recorded()
    for _ in range(times):
        found.add(ACQUIRE, outcome)
    return found


RIGHT = {
    checks.NONCE: record().add(ACQUIRE).add(ACQUIRE).evidence(),
    checks.DIGEST: record().add(ACQUIRE).evidence(),
    checks.SIGNATURE: record().add(ACQUIRE).evidence(),
    checks.LISTS: record()
    .add(ACQUIRE, given_lists=frozenset({"list"}))
    .add(ACQUIRE, step=2, lists={"list": 2})
    .evidence(lists={"list": 2}),
    checks.C600: repeated(C600, 4).evidence(),
    checks.C605: record().add(ACQUIRE, C605).add(JOIN).add(ACQUIRE).evidence(),
    checks.C606: record().add(ACQUIRE, C606).add(JOIN).add(ACQUIRE).evidence(),
    checks.C60A: record().add(ACQUIRE, C60A).add(LEAVE, C60A).evidence(),
    checks.C60D: record().add(ACQUIRE, C60D).add(ACQUIRE, url=ELSEWHERE).evidence(),
    checks.C065: record().add(ACQUIRE, C065).evidence(),
    checks.ACKNOWLEDGES: record()
    .add(ACQUIRE, given_transaction_id="one")
    .add(ACKNOWLEDGE, transaction_id="one")
    .evidence(),
    checks.MAC: record().add(ACQUIRE).add(ACQUIRE, step=2).add(ACKNOWLEDGE, step=2).evidence(),
    checks.FOREIGN_NONCE: record().add(ACQUIRE).add(ACQUIRE, step=2).evidence(),
    checks.TRANSACTION: record()
    .add(METER, transaction_id="one")
    .add(METER, transaction_id="one")
    .add(METER, transaction_id="two")
    .evidence(),
    checks.CLEARED: record().add(METER).evidence(plays=checks.METERED_PLAYS),
    checks.SECURE_STOP: record().add(ACQUIRE).add(STOP).evidence(stopped_sessions=1),
    checks.SECURE_DELETE: record().add(ACQUIRE).add(DELETE).evidence(),
}
WRONG = [
    (checks.NONCE, record().add(ACQUIRE, nonce="one").add(ACQUIRE, nonce="one").evidence()),
    (checks.NONCE, record().add(ACQUIRE, nonce=None).add(ACQUIRE).evidence()),
    (checks.DIGEST, record().add(ACQUIRE, checks={**EXACT, "digest": "failed"}).evidence()),
    (checks.SIGNATURE, record().add(ACQUIRE, checks={**EXACT, "signature": "failed"}).evidence()),
    (checks.SIGNATURE, record().add(ACQUIRE, checks={**EXACT, "signer": "failed"}).evidence()),
    (
        checks.LISTS,
        record()
        .add(ACQUIRE, given_lists=frozenset({"list"}))
        .add(ACQUIRE, step=2, lists={"list": 1})
        .evidence(lists={"list": 2}),
    ),
    (checks.C600, repeated(C600, 5).evidence()),
    (checks.C605, record().add(ACQUIRE, C605).add(ACQUIRE, C605).evidence()),
    (checks.C605, record().add(ACQUIRE, C605).add(JOIN).evidence()),
    (checks.C605, record().add(JOIN).add(ACQUIRE, C605).evidence()),
    (checks.C606, record().add(ACQUIRE, C606).add(JOIN, C60A).add(ACQUIRE).evidence()),
    (checks.C60A, record().add(ACQUIRE, C60A).add(ACQUIRE, C60A).evidence()),
    (checks.C60D, record().add(ACQUIRE, C60D).add(ACQUIRE).evidence()),
    (checks.C065, record().add(ACQUIRE, C065).add(ACQUIRE, C065, step=2).evidence()),
    (checks.ACKNOWLEDGES, record().add(ACQUIRE, given_transaction_id="one").evidence()),
    (
        checks.ACKNOWLEDGES,
        record()
        .add(ACQUIRE, given_transaction_id="one")
        .add(ACKNOWLEDGE, "0x8004c604", transaction_id="two")
        .evidence(),
    ),
    (checks.MAC, record().add(ACQUIRE).add(ACKNOWLEDGE).add(ACQUIRE, step=2).evidence()),
    (checks.MAC, record().add(ACQUIRE).evidence()),
    (checks.FOREIGN_NONCE, record().add(ACQUIRE).evidence()),
    (checks.TRANSACTION, record().add(METER, transaction_id="one").evidence()),
    (
        checks.TRANSACTION,
        record().add(METER, transaction_id="one").add(METER, transaction_id="two").evidence(),
    ),
    (checks.CLEARED, record().add(METER).evidence(plays=checks.METERED_PLAYS + 3)),
    (checks.SECURE_STOP, record().add(ACQUIRE).add(STOP).evidence()),
    (checks.SECURE_DELETE, record().add(ACQUIRE).evidence()),
]


def test_every_check_has_a_right_and_a_wrong_example() -> None:
    assert set(RIGHT) == set(ALL) == {check for check, _ in WRONG}


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.name)
def test_the_expected_behaviour_passes(check: Check) -> None:
    finding = check.grade(RIGHT[check])
    assert finding.outcome is Outcome.PASSED, finding.text
    assert finding.entries


@pytest.mark.parametrize(("check", "evidence"), WRONG, ids=lambda each: getattr(each, "name", ""))
def test_another_behaviour_fails(check: Check, evidence: Evidence) -> None:
    finding = check.grade(evidence)
    assert finding.outcome is Outcome.FAILED, finding.text
    assert finding.text


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.name)
def test_a_client_that_sends_nothing_shows_nothing(check: Check) -> None:
    assert check.grade(Evidence(seen=())).outcome is Outcome.NOT_SEEN


def test_checks_have_names_of_their_own_and_sources() -> None:
    assert len({check.name for check in ALL}) == len(ALL)
    assert all(check.source.url for check in ALL)
