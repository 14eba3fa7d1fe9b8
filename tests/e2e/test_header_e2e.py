"""`device acquire` gets licences for the headers that `header make` makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Command, Server

pytestmark = on_sqlite
KIDS = ("6f651ae1-dbe4-4434-bcb4-690d1564c41c", "0c3a1b52-6a0d-4f3e-9c77-1d2f8f5b4a11")


@pytest.fixture(scope="module")
def device(server: Server, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("header") / "device"
    assert command("device", "new", "--data", str(server.data), str(folder)).status == 0
    return folder


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(rightsmanager, arguments)
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize(
    ("arguments", "key_type"),
    [
        (("--version", "4.0", KIDS[0]), "AES_CTR"),
        (("--version", "4.1", KIDS[0]), "AES_CTR"),
        (("--version", "4.2", *KIDS), "AES_CTR"),
        (("--version", "4.3", *KIDS), "AES_CTR"),
        (("--algid", "AESCBC", *KIDS), "AES_CBC"),
        (("--algid", "none", KIDS[0]), "AES_CTR"),
    ],
)
def test_licences_are_issued_for_it_in_each_form(
    server: Server, device: Path, tmp_path: Path, arguments: tuple[str, ...], key_type: str
) -> None:
    url = ("--la-url", server.url)
    make = ("header", "make", "--data", str(tmp_path), *url, *arguments)
    file = tmp_path / "header.xml"
    run(*make, "--as", "wrmheader", "--output", str(file))
    ways = [("--header", str(file))]
    ways += [("--pssh", run(*make, "--as", form)) for form in ("object", "pssh")]
    for way in ways:
        acquire = ("device", "acquire", "--device", str(device), "--url", server.url, "--json")
        licenses = json.loads(run(*acquire, *way))["licenses"]
        found = [(each["kid"], each["key_type"]) for each in licenses]
        assert found == [(kid, key_type) for kid in arguments if kid in KIDS]
