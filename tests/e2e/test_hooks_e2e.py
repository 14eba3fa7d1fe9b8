"""Hooks in servers of their own: the included one for tokens, and the documentation's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from rightsmanager.errors import ServiceSpecific
from rightsmanager.protocol.formats.xmr.objects import Expiration
from tests.databases import on_sqlite
from tests.docs.documents import ROOT, Module, steps

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Command, Enrol, HeaderOf, Start

pytestmark = on_sqlite
KID = "4Rplb+TbNES8tGkNFWTEHA=="
OTHER = "AmfjCTOPbEOl3WD/5mcecA=="


def test_only_requests_with_a_token_are_served(
    tmp_path: Path, start: Start, enrol: Enrol, command: Command, header_of: HeaderOf
) -> None:
    data = tmp_path / "data"
    init = command("init", "--data", str(data))
    made = command("request-token", "--data", str(data), "--kid", KID)
    assert (init.status, made.status) == (0, 0)
    token = made.output.strip()

    make = "rightsmanager.hooks.token:make"
    server = start(data, RIGHTSMANAGER_HOOKS__MAKE=make)
    client = enrol(data)
    assert len(client.acquire(server.url, header_of(KID), token).licenses) == 1
    with pytest.raises(ServiceSpecific, match="has no token"):
        client.acquire(server.url, header_of(KID))
    with pytest.raises(ServiceSpecific, match="not valid for KID"):
        client.acquire(server.url, header_of(OTHER), token)
    answer = server.post(client.challenge(header_of(KID)), authorization=f"Bearer {token}")
    assert answer.status == 200
    assert len(server.issued()) == 2


def test_the_module_of_the_documentation_runs(
    tmp_path: Path, start: Start, enrol: Enrol, header_of: HeaderOf
) -> None:
    (module, *_) = [step for step in steps(ROOT / "docs" / "hooks.md") if isinstance(step, Module)]
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / module.name).write_text(module.text)
    server = start(
        tmp_path / "data",
        PYTHONPATH=str(folder),
        RIGHTSMANAGER_HOOKS__MAKE=f"{module.name.removesuffix('.py')}:make",
    )
    client = enrol(server.data)
    before = int(time.time())
    (license_,) = client.acquire(f"{server.url}?token=abc", header_of(KID)).licenses
    expiration = license_.license.find(Expiration)
    assert expiration is not None
    assert before + 3600 <= expiration.end <= time.time() + 3600
