"""Licences served by each worker class that `server.worker` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Enrol, HeaderOf, Start

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
