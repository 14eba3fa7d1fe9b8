"""Licences served by each worker class that `server.worker` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Enrol, HeaderOf, Server, Start

KID = "4Rplb+TbNES8tGkNFWTEHA=="


@pytest.mark.parametrize("worker", ["buffered", "gthread"])
def test_a_worker_serves_a_licence(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path, worker: str
) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_SERVER__WORKER=worker)
    client = enrol(server.data)
    answer = server.post(client.challenge(header_of(KID)))
    assert answer.status == 200
    assert len(server.issued()) == 1
    assert server.stop() == 0


def test_too_many_or_too_long_headers_are_431_for_a_browser_too(
    start: Start, tmp_path: Path
) -> None:
    limits = {"RIGHTSMANAGER_SERVER__MAX_HEADERS": "20"}
    server = start(tmp_path / "data", RIGHTSMANAGER_SERVER__MAX_HEADER_BYTES="1000", **limits)
    many = {f"X-{number}": "y" for number in range(20)}
    for headers in ({"X_Long": "y" * 1000}, many):
        answer = server.call("GET", "/rightsmanager.asmx", None, **headers)
        assert answer.status == 431
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert server.call("GET", "/rightsmanager.asmx", X_Long="y" * 900).status == 200
    assert server.stop() == 0


def test_a_header_may_have_64_kb_by_default(server: Server) -> None:
    assert server.call("GET", "/rightsmanager.asmx", X_Token="y" * 65000).status == 200
