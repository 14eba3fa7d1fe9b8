"""`serve` builds the application before it says that it serves; a failure is one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

SETTINGS = {
    "license.key_seed": "abc",
    "policy.security_level": "5",
    "keyring.trust_anchors": "nofile",
    "keyring.server_keys": "nofile",
    "domain.default_account": "x",
    "domain.service_id": "x",
    "domain.url": "x",
    "metering.url": "ftp://x/y",
    "server.public_url": "foo",
    "hooks.make": "nomodule:make",
    "api.token_file": "nofile",
    "server.certfile": "nofile",
    "server.roles": "license,none",
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_invalid_setting_is_named_before_it_serves(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    setting: str,
    options: tuple[str, ...],
) -> None:
    variable = f"RIGHTSMANAGER_{setting.replace('.', '__').upper()}"
    monkeypatch.setenv(variable, SETTINGS[setting])
    ran = run("serve", "--data", str(tmp_path / "data"), "--bind", "127.0.0.1:0", *options)
    assert ran.status == 1
    assert setting in ran.errors + ran.output
    assert "Traceback" not in ran.errors
    assert (ran.errors.count("\n"), ran.output) == (1, "") or options
    assert '"url"' not in ran.output


@pytest.mark.parametrize("option", ["--certfile", "--keyfile"])
def test_a_missing_file_of_an_option_is_named(run: Run, tmp_path: Path, option: str) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.write_text("none")
    given = {"--certfile": str(certificate), option: "nofile"}
    ran = run(
        *("serve", "--data", str(tmp_path / "data"), "--bind", "127.0.0.1:0"),
        *(word for pair in given.items() for word in pair),
    )
    assert (ran.status, ran.output) == (1, "")
    assert f"server.{option[2:]}: nofile cannot be read: No such file or directory" in ran.errors
