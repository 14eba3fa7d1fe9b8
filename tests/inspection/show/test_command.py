"""The command: its options are the aids, its exit status is what became of the checks."""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rightsmanager.cli import rightsmanager
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import seeded_random
from rightsmanager.device import load_device
from rightsmanager.device.identity import load_server_keys
from rightsmanager.protocol.messages.challenge import LicenseRequest, seal_license_challenge


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(rightsmanager, ["show", *arguments], input=stdin)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a keyring and a device."""
    folder = tmp_path_factory.mktemp("data")
    runner = CliRunner()
    for command in (
        ["init", "--data", str(folder), "--seed", "show"],
        ["device", "new", "--data", str(folder), str(folder / "device")],
    ):
        assert runner.invoke(rightsmanager, command).exit_code == 0
    return folder


@pytest.fixture
def challenge(data: Path) -> bytes:
    device, server = load_device(data / "device"), load_server_keys(data / "device")
    header = (
        '<WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" '
        'version="4.0.0.0"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID>'
        "</PROTECTINFO><KID>q5HgCTj40kGeNVhTH9Gexw==</KID></DATA></WRMHEADER>"
    )
    request = LicenseRequest(header, 1, bytes(16), 1790000000, "10.0.0.0", device.chain.raw)
    return seal_license_challenge(
        request, device.signing_key, server.wmrmserver, choose_backend(), seeded_random(b"show")
    )


def test_the_data_folder_gives_the_root_and_the_servers_key(data: Path, challenge: bytes) -> None:
    result = run("--data", str(data), "-", stdin=challenge)
    assert result.exit_code == 0, result.output
    assert "check trust anchor: ok" in result.output
    assert "check decryption: ok" in result.output
    assert result.output.endswith("0 failed, 1 not possible\n")


def test_without_a_data_folder_the_missing_key_is_named(
    tmp_path: Path, challenge: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("-", stdin=challenge)
    assert result.exit_code == 0
    assert "check decryption: not possible: no server key is given" in result.output


def test_the_device_folder_gives_a_root_too(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    device = data / "device"
    result = run("--device", str(device), str(device / "certificate-chain.bin"))
    assert "check trust anchor: ok" in result.output


def test_a_failed_check_is_status_1_and_all_is_printed(
    tmp_path: Path, things: dict[str, bytes]
) -> None:
    result = run("--data", str(tmp_path), "-", stdin=things["xmr_published"])
    assert result.exit_code == 1
    assert "check time: failed: ended 2015-10-30T16:57:10Z" in result.output
    assert "security level" in result.output


def test_what_is_not_recognised_is_status_2(tmp_path: Path) -> None:
    result = run("--data", str(tmp_path), "-", stdin=b"hello")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "it is not recognised: nothing known is in it, expected a WRMHEADER" in result.stderr


def test_json_says_the_same_for_base64(tmp_path: Path, things: dict[str, bytes]) -> None:
    file = tmp_path / "chain.b64"
    file.write_bytes(b64encode(things["chain"]))
    result = run("--data", str(tmp_path), "--json", str(file))
    found = json.loads(result.output)
    assert (found["name"], found["meaning"]) == ("BCert chain", "base64, 924 bytes")
    assert {
        "name": "trust anchor",
        "outcome": "not possible",
        "text": "no trust anchor is given",
    } in (found["checks"])


def test_what_would_move_the_cursor_is_not_printed(tmp_path: Path) -> None:
    text = (
        '<LA xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols">'
        "<CustomData>a\u202e\u009b31m[bold]\nb</CustomData></LA>"
    )
    result = run("--data", str(tmp_path), "-", stdin=text.encode())
    assert r"CustomData: a\u202e\x9b31m[bold]\nb" in result.output


def test_a_locked_keyring_leaves_the_rest_to_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, things: dict[str, bytes]
) -> None:
    folder = tmp_path / "keyring"
    folder.mkdir()
    (folder / "wmrmserver.key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    monkeypatch.delenv("RIGHTSMANAGER_PASSPHRASE", raising=False)
    result = run("--data", str(tmp_path), "-", stdin=things["chain"])
    assert result.exit_code == 0
    assert "no passphrase is given" in result.stderr


def test_too_much_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as stream:
        stream.truncate(17 * 1024 * 1024)
    result = run("--data", str(tmp_path), str(file))
    assert result.exit_code == 2
    assert "more than 16777216 bytes" in result.output


def test_it_runs_as_a_process(tmp_path: Path, things: dict[str, bytes]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rightsmanager", "show", "--data", str(tmp_path), "-"],
        input=b64encode(things["xmr_published"]),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout.decode().startswith("XMR licence (base64, 378 bytes)\n├── check form: ok")
    assert done.stderr == b""
