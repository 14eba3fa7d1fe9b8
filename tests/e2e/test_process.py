"""The server as a process: start, end, restart and persistence."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.keyring.identities import IDENTITIES
from rightsmanager.protocol.wire import Kid, fingerprint
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Command, Enrol, HeaderOf, Server, Start

KID = "4Rplb+TbNES8tGkNFWTEHA=="


@on_sqlite
def test_it_prints_its_url_and_root(server: Server) -> None:
    root = (server.data / "public" / "root.pub").read_bytes()
    assert server.announced == {
        "url": f"http://127.0.0.1:{server.port}/rightsmanager.asmx",
        "root": fingerprint(root),
        "pid": server.process.pid,
    }


@on_sqlite
def test_it_starts_the_configured_number_of_workers(server: Server) -> None:
    assert len(server.all_workers(2)) == 2


def test_a_restart_keeps_keys_content_and_records(
    start_program: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    first = start_program(data)
    client = enrol(data)
    kid = Kid(bytes(15) + b"\x01")
    body = client.challenge(header_of(kid.base64))
    add = ["content", "add", "--data", str(data), kid.text, "00112233445566778899aabbccddeeff"]
    assert CliRunner().invoke(rightsmanager, add, env=first.environment).exit_code == 0
    assert first.post(body).status == 200
    recorded = first.issued()
    assert first.stop(signal.SIGTERM) == 0

    again = start_program(data)
    assert again.announced["root"] == first.announced["root"]
    (license_,) = client.acquire(again.url, header_of(kid.base64)).licenses
    assert license_.content_key.hex() == "00112233445566778899aabbccddeeff"
    # The server still knows the challenge from before the restart.
    assert again.post(body).status == 200
    assert set(recorded) < set(again.issued())
    assert len(again.issued()) == len(recorded) + 1
    assert again.stop(signal.SIGINT) == 0


@on_sqlite
def test_control_c_on_a_terminal_reaches_every_process_and_ends_well(
    start_program: Start, tmp_path: Path
) -> None:
    server = start_program(tmp_path / "data", "--workers", "2")
    kept = http.client.HTTPConnection("127.0.0.1", server.port)
    kept.request("GET", "/")
    assert kept.getresponse().read()
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.wait() == 0
    kept.close()
    assert "Traceback" not in server.log.read_text()


def test_two_servers_that_start_at_once_over_one_folder_agree(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with ThreadPoolExecutor(2) as threads:
        servers = list(threads.map(lambda _: start(data), range(2)))
    assert servers[0].announced["root"] == servers[1].announced["root"]
    client = enrol(data)
    for server in servers:
        assert len(client.acquire(server.url, header_of(KID)).licenses) == 1


@on_sqlite
def test_keys_under_a_passphrase_need_it(
    start: Start, program: Command, tmp_path: Path, test_keys: dict[str, str]
) -> None:
    data, device = tmp_path / "data", tmp_path / "device"
    secret = {"RIGHTSMANAGER_PASSPHRASE": "swordfish"}
    server = start(data, **secret)
    keys = list((data / "keyring").glob("*.key"))
    assert len(keys) == len(IDENTITIES)
    assert all(b"ENCRYPTED PRIVATE KEY" in key.read_bytes() for key in keys)
    run = CliRunner(env=secret).invoke
    assert run(rightsmanager, ["device", "new", "--data", str(data), str(device)]).exit_code == 0
    acquire = ["device", "acquire", "--device", str(device), "--url", server.url, "--kid", KID]
    assert test_keys[KID] in CliRunner().invoke(rightsmanager, acquire).output

    for environment in ({}, {"RIGHTSMANAGER_PASSPHRASE": "wrong"}):
        refused = program("serve", "--data", str(data), "--bind", "127.0.0.1:0", **environment)
        assert refused.status == 1
        assert refused.output == ""
        assert refused.errors.count("\n") == 1
        assert "passphrase" in refused.errors
        assert ".key" in refused.errors


@pytest.mark.parametrize("bind", ["127.0.0.1:70000", "127.0.0.1:x", "127.0.0.1", ":", ""])
def test_an_invalid_address_is_refused_in_one_line(tmp_path: Path, bind: str) -> None:
    serve = ["serve", "--data", str(tmp_path / "data"), "--bind", bind]
    refusal = CliRunner().invoke(rightsmanager, serve).exception
    assert "server.bind" in str(refusal)


def test_an_address_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        serve = ["serve", "--data", str(tmp_path / "data"), "--bind", bind]
        refusal = CliRunner().invoke(rightsmanager, serve).exception
    assert f"cannot listen on {bind}" in str(refusal)


@on_sqlite
def test_a_query_of_many_groups_gets_a_fault_and_no_page(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    groups = ",".join(["(kid:header)"] * 10_000)
    body = client.challenge(header_of(KID))
    answer = server.post(body, f"/rightsmanager.asmx?cfg={groups}")
    assert (answer.status, answer.code) == (500, "0x8004c604")
