"""The included hook for tokens, in a server of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.errors import ServiceSpecific

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Command, Enrol, HeaderOf, Start

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
