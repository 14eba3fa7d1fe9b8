"""`rightsmanager token`: tokens are printed once, listed and revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.admin.tokens import PREFIX, digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run


def test_a_token_is_printed_once_and_listed_without_its_text(run: Run, data: Path) -> None:
    at = ("--data", str(data))
    ran = run("token", "create", *at, "monitoring")
    text = ran.output.strip()
    assert (ran.status, ran.errors, len(text)) == (0, "", len(PREFIX) + 43)
    assert text.startswith(PREFIX)
    made = run(
        *("token", "create", "--data", str(data), "nightly", "--role", "operate"),
        *("--lifetime", "36h", "--json"),
    ).json
    assert made["token_id"] == digest_of(made["token"]).hex()[:16]
    listed = {each["name"]: each for each in run("token", "list", *at, "--json").json}
    assert {(each["name"], each["role"], each["state"]) for each in listed.values()} == {
        ("monitoring", "read", "valid"),
        ("nightly", "operate", "valid"),
    }
    assert listed["monitoring"]["expires_at"] is None
    assert listed["nightly"] == {name: made[name] for name in made if name != "token"}
    for form in ((), ("--json",), ("--csv",)):
        output = run("token", "list", "--data", str(data), *form).output
        assert text not in output
        assert made["token"] not in output


def test_a_token_is_revoked_once_by_id_or_name(run: Run, data: Path) -> None:
    made = [
        run("token", "create", "--data", str(data), name, "--json").json
        for name in ("one", "two", "two")
    ]
    ran = run("token", "revoke", "--data", str(data), "one")
    assert ran.output == f"token {made[0]['token_id']} (one) is revoked\n"
    assert "is the name of several" in run("token", "revoke", "--data", str(data), "two").errors
    by_id = run("token", "revoke", "--data", str(data), made[1]["token_id"], "--json")
    assert by_id.json["state"] == "revoked"
    assert run("token", "revoke", "--data", str(data), "two").status == 0
    again = run("token", "revoke", "--data", str(data), made[1]["token_id"])
    assert (again.status, "is revoked already" in again.errors) == (1, True)
    assert "not a token's id or name" in run("token", "revoke", "--data", str(data), "one").errors


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_an_unusable_name_is_refused(run: Run, data: Path, name: str) -> None:
    ran = run("token", "create", "--data", str(data), name)
    assert ran.status == 1
    assert "expected 1 to 64, all printable" in ran.errors
