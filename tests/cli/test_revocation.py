"""`rightsmanager revoke`, `unrevoke` and `revocations`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

DIGEST = bytes(range(32))
BASE64 = base64.b64encode(DIGEST).decode()


def leaf(folder: Path, kind: CertificateType) -> tuple[Path, str]:
    """Return the file of a chain whose leaf has a type, and the leaf's digest."""
    issuer = KeyFiles(folder, None).find_key("device-issuer")
    assert issuer is not None
    public = PrivateKey.generate(seeded_random(kind.name.encode())).public
    template = Template(
        type=kind,
        security_level=150,
        certificate_id=bytes(16),
        keys=(Key(public, (KeyUsage.SIGN,)),),
    )
    chain = chain_under(issue(template, issuer), None)
    file = folder / f"{kind.name}.bin"
    file.write_bytes(chain.raw)
    return file, base64.b64encode(chain.leaf.digest).decode()


def revocations(run: Run, data: Path) -> dict[str, Any]:
    found: dict[str, Any] = run("revocations", "--data", str(data), "--json").json
    return found


def versions(expected: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["version"] for each in expected["lists"]}


def test_at_first_nothing_is_revoked(run: Run, data: Path) -> None:
    assert revocations(run, data) == {"lists": [], "revoked": [], "allowed": []}


@pytest.mark.parametrize("spelling", [DIGEST.hex(), DIGEST.hex().upper(), BASE64])
def test_a_digest_may_be_hexadecimal_or_base64(run: Run, data: Path, spelling: str) -> None:
    ran = run("revoke", "--data", str(data), spelling)
    assert (ran.status, ran.output) == (
        0,
        f"{BASE64} is on the device list\ndevice version 1, revocation information version 1\n",
    )
    (entry,) = revocations(run, data)["revoked"]
    assert (entry["digest"], entry["list"], entry["version"]) == (BASE64, "device", 1)
    assert entry["allowed"] is False


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (CertificateType.DEVICE, "device"),
        (CertificateType.PC, "pc"),
        (CertificateType.APPLICATION, "application"),
        (CertificateType.SILVERLIGHT, "application"),
    ],
)
def test_a_leaf_goes_on_the_list_of_its_type(
    run: Run, data: Path, kind: CertificateType, name: str
) -> None:
    file, digest = leaf(data, kind)
    assert run("revoke", "--data", str(data), str(file)).status == 0
    (entry,) = revocations(run, data)["revoked"]
    assert (entry["digest"], entry["list"]) == (digest, name)


def test_the_list_may_be_named(run: Run, data: Path) -> None:
    file, _ = leaf(data, CertificateType.DEVICE)
    assert run("revoke", "--data", str(data), "--list", "pc", str(file)).status == 0
    assert versions(revocations(run, data)) == {"pc": 1, "revocation information": 1}


def test_allowing_and_disallowing_each_make_a_version(run: Run, data: Path) -> None:
    expected = []
    for words in (
        ("revoke",),
        ("unrevoke", "--allow"),
        ("revoke", "--disallow"),
        ("unrevoke",),
    ):
        ran = run(*words, "--data", str(data), BASE64)
        assert ran.status == 0
        expected.append(ran.output.splitlines()[0].removeprefix(BASE64))
    assert expected == [
        " is on the device list",
        " is on the allow list",
        " is no longer on the allow list",
        " is on no list",
    ]
    found = revocations(run, data)
    assert versions(found) == {"device": 4, "revocation information": 4}
    assert (found["revoked"], found["allowed"]) == ([], [])


def test_the_table_shows_lists_entries_and_allowed_certificates(run: Run, data: Path) -> None:
    run("revoke", "--data", str(data), BASE64)
    run("unrevoke", "--data", str(data), "--allow", BASE64)
    lines = [line.split() for line in run("revocations", "--data", str(data)).output.splitlines()]
    assert [line[0] for line in lines if line] == [
        "list",
        "device",
        "revocation",
        "revoked",
        BASE64,
        "allowed",
        BASE64,
    ]
    (entry,) = (line for line in lines if line[:2] == [BASE64, "device"])
    assert entry[-1] == "yes"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("unrevoke",), "is on no list"),
        (("revoke", "--disallow"), "is not on the allow list"),
    ],
)
def test_a_command_without_effect_is_reported_in_one_line(
    run: Run, data: Path, words: tuple[str, ...], text: str
) -> None:
    ran = run(*words, "--data", str(data), BASE64)
    assert (ran.status, ran.output) == (1, "")
    assert text in ran.errors
    assert ran.errors.count("\n") == 1
    assert revocations(run, data)["lists"] == []


WITH_BLANKS = DIGEST[:31].hex(" ", 11)
"""As long as a digest of 32 bytes."""


@pytest.mark.parametrize(
    "word",
    ["", "xx", DIGEST.hex()[:-2], WITH_BLANKS, "zz" * 32, BASE64[:-4], "nowhere"],
)
def test_neither_a_digest_nor_a_file_is_refused(run: Run, data: Path, word: str) -> None:
    ran = run("revoke", "--data", str(data), word)
    assert ran.status == 2
    assert "is neither a file nor a digest of 32 bytes" in ran.errors
    assert revocations(run, data)["lists"] == []


def test_a_file_without_a_chain_is_refused(run: Run, data: Path) -> None:
    ran = run("revoke", "--data", str(data), str(data / "public" / "root.pub"))
    assert ran.status == 2
    assert "CHAI" in ran.errors


def test_the_error_for_a_missing_list_signer_says_what_to_do(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run("init", "--data", str(data)).status == 0
    (data / "keyring" / "crl-signer.key").unlink()
    ran = run("revoke", "--data", str(data), BASE64)
    assert ran.status == 1
    assert "run rightsmanager init" in ran.errors
