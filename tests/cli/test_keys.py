"""`init` and `keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.keyring.identities import IDENTITIES
from rightsmanager.protocol.wire import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

FACTS = {"name", "issuer", "fingerprint", "private_key", "certificate"}


def test_init_prints_the_folders(run: Run, tmp_path: Path) -> None:
    ran = run("init", "--data", str(tmp_path / "new"))
    assert (ran.status, ran.errors) == (0, "")
    assert str(tmp_path / "new" / "keyring") in ran.output
    assert str(tmp_path / "new" / "public") in ran.output


def test_init_changes_nothing_the_second_time(run: Run, data: Path) -> None:
    before = {file: file.read_bytes() for file in data.rglob("*.*") if "db" not in file.suffix}
    assert run("init", "--data", str(data)).status == 0
    assert {file: file.read_bytes() for file in before} == before


def test_the_json_of_keys_has_every_identity(run: Run, data: Path) -> None:
    ran = run("keys", "--data", str(data), "--json")
    assert (ran.status, ran.errors) == (0, "")
    by_name = {fact["name"]: fact for fact in ran.json}
    assert list(by_name) == [identity.name for identity in IDENTITIES]
    assert all(set(fact) == FACTS and fact["private_key"] for fact in ran.json)
    root = PublicKey((data / "public" / "root.pub").read_bytes())
    assert by_name["root"]["fingerprint"] == fingerprint(root.raw)
    assert by_name["root"]["certificate"] is None
    signer = by_name["license-signer"]
    assert signer["issuer"] == "license-signer-issuer"
    assert signer["certificate"]["type"] == "server"
    assert signer["certificate"]["usages"] == ["sign", "sign_response"]
    assert signer["certificate"]["expiry"] is None
    assert len(by_name["metering"]["certificate"]["metering_id"]) == 36


def test_the_tree_of_keys_shows_each_under_its_issuer(run: Run, data: Path) -> None:
    lines = run("keys", "--data", str(data)).output.splitlines()
    depth = {
        identity.name: next(
            len(line) - len(line.lstrip("│├└─ "))
            for line in lines
            if f"{identity.name}  SHA" in line
        )
        for identity in IDENTITIES
    }
    assert depth["root"] < depth["license-signer-issuer"] < depth["license-signer"]
    assert depth["root"] == depth["wmrmserver"] == depth["storage"]


def test_no_private_key_is_ever_printed(run: Run, data: Path, secrets: set[str]) -> None:
    for arguments in ((), ("--json",)):
        output = run("keys", "--data", str(data), *arguments).output
        assert [secret for secret in secrets if secret in output] == []
        assert "PRIVATE" not in output


def test_a_key_that_was_taken_away_is_marked(run: Run, data: Path) -> None:
    (data / "keyring" / "root.key").unlink()
    assert "root" not in [fact["name"] for fact in run("keys", "--data", str(data), "--json").json]
    (data / "keyring" / "device-issuer.key").unlink()
    by_name = {fact["name"]: fact for fact in run("keys", "--data", str(data), "--json").json}
    assert by_name["device-issuer"]["private_key"] is False
    assert by_name["device-issuer"]["fingerprint"].startswith("SHA256:")
    assert "the private key is kept elsewhere" in run("keys", "--data", str(data)).output


def test_a_missing_data_folder_is_named_and_not_made(run: Run, tmp_path: Path) -> None:
    ran = run("keys", "--data", str(tmp_path / "none"), "--json")
    assert (ran.status, (tmp_path / "none").exists()) == (1, False)
    assert ran.json["error"]["kind"] == "failure"
    assert f"the data folder {tmp_path / 'none'} does not exist" in ran.json["error"]["text"]
    (tmp_path / "empty").mkdir()
    assert run("keys", "--data", str(tmp_path / "empty"), "--json").json == []
