"""`rightsmanager ledger`: the licences of a device, and whether it must ask again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device.identity import load_device
from rightsmanager.protocol.wire import Kid, SessionId, TransactionId
from rightsmanager.settings_loading import load
from rightsmanager.store.database import open_store
from rightsmanager.store.ledger import LedgerEntry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Ran, Run

KIDS = tuple(Kid(bytes([number]) * 16) for number in range(1, 7))
ISSUED, STORED, FAILED, DELETED, EXPIRED, UNKNOWN = KIDS
TRANSACTION = TransactionId(bytes(range(16)))
SESSION = SessionId(bytes(range(16)))
NOW = int(time.time())
STATES = {
    ISSUED: "issued",
    STORED: "acknowledged",
    FAILED: "failed",
    DELETED: "deleted",
    EXPIRED: "expired",
}


class Ledger:
    """The command over a data folder, and a device that has licences in every state."""

    def __init__(self, run: Run, data: Path, folder: Path) -> None:
        self._run = run
        self._data = data
        self.folder = folder
        assert run("device", "new", "--data", str(data), str(folder)).status == 0
        self.device = load_device(folder).chain.leaf.device_id
        store = open_store(load(None, data=data).effective_database_url)
        with store.transaction() as transaction:
            for ordinal, kid in enumerate(STATES):
                transaction.ledger.record(self._entry(ordinal, kid))
            for kid, result in ((STORED, 0), (FAILED, 0x8004B896)):
                transaction.acknowledgements.record(TRANSACTION, self.device, kid, result, NOW)
            transaction.ledger.record_deletion(self.device, SESSION, bytes(32), NOW)
            for kid in (DELETED, UNKNOWN):
                transaction.ledger.delete(self.device, SESSION, kid, NOW)
        store.close()

    def _entry(self, ordinal: int, kid: Kid) -> LedgerEntry:
        return LedgerEntry(
            request=bytes(32),
            ordinal=ordinal,
            device=self.device,
            kid=kid,
            license_id=bytes([ordinal]) * 16,
            transaction_id=TRANSACTION,
            issued_at=NOW - 100,
            expires_at=NOW - 50 if kid == EXPIRED else None,
        )

    def __call__(self, *arguments: str) -> Ran:
        return self._run("ledger", "--data", str(self._data), *arguments)


@pytest.fixture
def ledger(run: Run, data: Path, tmp_path: Path) -> Ledger:
    return Ledger(run, data, tmp_path / "phone")


def test_every_licence_is_listed_with_its_state(ledger: Ledger) -> None:
    printed = ledger(ledger.device, "--json").json
    assert printed["device"] == ledger.device
    assert {each["kid"]: each["state"] for each in printed["licenses"]} == {
        kid.text: state for kid, state in STATES.items()
    }
    results = {each["kid"]: each["result"] for each in printed["licenses"]}
    assert (results[FAILED.text], results[ISSUED.text]) == ("0x8004b896", None)
    (unknown,) = printed["unknown"]
    assert (unknown["kid"], unknown["session_id"]) == (UNKNOWN.text, SESSION.text)


def test_the_table_has_the_same_facts(ledger: Ledger) -> None:
    lines = ledger(ledger.device).output.splitlines()
    assert lines[0].split() == [
        *("KID", "state", "licence", "issued", "expires", "deleted", "result"),
    ]
    assert [line.split()[:2] for line in lines[1:6]] == [
        [kid.text, state] for kid, state in STATES.items()
    ]
    assert lines[7] == "Deleted, but never issued to the device:"
    assert lines[9].split()[0] == UNKNOWN.text


def test_the_device_may_be_named_by_its_folder_or_chain(ledger: Ledger) -> None:
    expected = ledger(ledger.device).output
    chain = ledger.folder / "certificate-chain.bin"
    for name in (ledger.folder, chain):
        assert expected == ledger(str(name)).output


@pytest.mark.parametrize("kid", KIDS)
def test_the_exit_status_answers_the_question(ledger: Ledger, kid: Kid) -> None:
    must = kid not in {ISSUED, STORED}
    ran = ledger(ledger.device, "--kid", kid.text)
    assert ran.status == (0 if must else 1)
    asked = "must ask again" if must else "need not ask again"
    assert ran.output.splitlines()[0] == f"the device {asked} for KID {kid.text}"
    answer = ledger(ledger.device, "--kid", kid.base64, "--json")
    assert answer.status == ran.status
    assert (answer.json["must_ask_again"], answer.json["kid"]) == (must, kid.text)
    assert [each["state"] for each in answer.json["licenses"]] == [
        state for each, state in STATES.items() if each == kid
    ]


def test_an_unknown_device_has_no_licences_and_must_ask(ledger: Ledger) -> None:
    assert ledger("00" * 32, "--json").json["licenses"] == []
    assert ledger("00" * 32, "--kid", ISSUED.text).status == 0


@pytest.mark.parametrize("device", ["unknown", "0" * 63, ""])
def test_a_name_of_no_device_is_a_usage_error(ledger: Ledger, device: str) -> None:
    ran = ledger(device, "--kid", ISSUED.text)
    assert ran.status == 2
    assert "expected 32 bytes in hexadecimal digits or base64" in ran.errors


def test_a_file_without_a_chain_is_a_usage_error(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "chain.bin"
    file.write_bytes(b"CHAI")
    assert ledger(str(file)).status == 2


def test_a_failure_is_neither_yes_nor_no(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    ran = ledger(ledger.device, "--kid", ISSUED.text)
    assert (ran.status, ran.output) == (2, "")
    assert "the database cannot be reached" in ran.errors
