"""Domains under several workers, and their whole life cycle by commands."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import NotADomainMember
from rightsmanager.protocol.messages.domain import (
    JoinResponse,
    open_join_response,
    seal_join,
    seal_leave,
)
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.database import open_store
from tests.e2e.conftest import REPLY_SECONDS
from tests.e2e.devices import CommandedDevice, make_device

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.store.domains import Account, Member
    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

SERVICE = ServiceId.from_text("0345be98-f987-40e5-a4dd-0aa21a7f6897")
KID, OTHER_KID = "4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw=="
DEVICES, LIMIT = 200, 50


@pytest.fixture
def account() -> AccountId:
    return AccountId(system_random(16))


@pytest.fixture(scope="module")
def crowded(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with four workers and a small limit of members."""
    data = tmp_path_factory.mktemp("crowded") / "data"
    limit = {"RIGHTSMANAGER_DOMAIN__MAX_MEMBERS": str(LIMIT)}
    return start(data, "--workers", "4", **limit)


def sealed(client: Client, account: AccountId, *, leave: bool = False) -> bytes:
    asking = ClientInfo((client.device.chain.raw,), int(time.time()), "10.0.16384.10011")
    sealing = ChallengeKeys(
        client.device.signing_key, client.server.wmrmserver, client.opening.backend, system_random
    )
    if leave:
        return seal_leave(SERVICE, account, asking, sealing)
    return seal_join(SERVICE, account, "one of many", asking, sealing)


def joined(body: bytes) -> JoinResponse:
    response, _ = open_join_response(parse_envelope(body))
    return response


def recorded(server: Server, account: AccountId) -> tuple[Account, list[Member], int]:
    store = open_store(server.database_url)
    try:
        with store.reading() as found:
            stored = found.domains.find(account)
            assert stored is not None
            return (
                stored,
                found.domains.find_members(account),
                len(found.domains.find_revisions(account)),
            )
    finally:
        store.close()


def test_simultaneous_joins_fill_the_account_exactly(
    crowded: Server, enrol: Enrol, account: AccountId
) -> None:
    clients = [enrol(crowded.data) for _ in range(DEVICES)]
    bodies = [sealed(client, account) for client in clients]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(crowded.post, bodies))
    codes = Counter(answer.code for answer in answers)
    assert codes == {None: LIMIT, "0x8004c602": DEVICES - LIMIT}
    stored, members, revisions = recorded(crowded, account)
    assert (stored.members, stored.limit, revisions) == (LIMIT, LIMIT, 1)
    inside = {
        client.device.chain.leaf.device_id
        for client, answer in zip(clients, answers, strict=True)
        if answer.status == 200
    }
    assert inside == {member.device for member in members}
    assert len({joined(a.body).revisions[0].chain for a in answers if a.status == 200}) == 1


def test_one_of_two_devices_gets_the_last_seat(crowded: Server, enrol: Enrol) -> None:
    clients = [enrol(crowded.data) for _ in range(LIMIT + 1)]
    account = AccountId(system_random(16))
    *first, one, two = [sealed(client, account) for client in clients]
    assert {crowded.post(body).status for body in first} == {200}
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(crowded.post, (one, two)))
    assert sorted(answer.code or "" for answer in answers) == ["", "0x8004c602"]
    assert recorded(crowded, account)[0].members == LIMIT


def test_simultaneous_repeats_of_a_join_count_once(
    server: Server, client: Client, account: AccountId
) -> None:
    body = sealed(client, account)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(server.post, [body] * 24))
    assert {answer.status for answer in answers} == {200}
    assert len({joined(answer.body).revisions[0].chain for answer in answers}) == 1
    stored, members, revisions = recorded(server, account)
    assert (stored.members, len(members), revisions) == (1, 1, 1)


def test_simultaneous_repeats_of_a_leave_count_once(
    server: Server, client: Client, account: AccountId
) -> None:
    assert server.post(sealed(client, account)).status == 200
    body = sealed(client, account, leave=True)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(server.post, [body] * 24))
    assert {answer.status for answer in answers} == {200}
    assert recorded(server, account)[0].members == 0
    assert server.post(sealed(client, account, leave=True)).code == "0x8004c60a"


def test_a_join_whose_worker_is_killed_is_answered_when_it_is_sent_again(
    crowded: Server, enrol: Enrol, account: AccountId
) -> None:
    client = enrol(crowded.data)
    body = sealed(client, account)
    with ThreadPoolExecutor(1) as threads:
        lost = threads.submit(crowded.post, body)
        for pid in crowded.workers():
            os.kill(pid, signal.SIGKILL)
        lost.exception(REPLY_SECONDS)
    again = _until_served(crowded, body)
    stored, members, revisions = recorded(crowded, account)
    assert (stored.members, len(members), revisions) == (1, 1, 1)
    assert joined(again).revision == 1


def _until_served(server: Server, body: bytes) -> bytes:
    """Return the reply after the workers were replaced."""
    end = time.monotonic() + REPLY_SECONDS
    while time.monotonic() < end:
        try:
            answer = server.post(body)
        except OSError:
            continue
        assert answer.status == 200
        return answer.body
    raise AssertionError("no worker came back")


def test_a_removed_device_gives_up_and_the_others_renew_once(
    server: Server, enrol: Enrol, account: AccountId, header_of: HeaderOf
) -> None:
    clients = [enrol(server.data) for _ in range(3)]
    target = f"/rightsmanager.asmx?cfg=(accountid:{account.text})"

    def joins(client: Client) -> bytes:
        return joined(server.post(sealed(client, account)).body).revisions[0].chain

    def asks(client: Client, chain: bytes) -> str | None:
        body = client.challenge(header_of(KID), domain_chains=(chain,))
        return server.post(body, target).code

    chains = [joins(client) for client in clients]
    assert [asks(client, chain) for client, chain in zip(clients, chains, strict=True)] == [
        None
    ] * 3
    Operator(server)("remove", account.text, clients[0].device.chain.leaf.device_id)
    told = [asks(client, chain) for client, chain in zip(clients, chains, strict=True)]
    assert told == ["0x8004c60a", "0x8004c606", "0x8004c606"]
    renewed = list(map(joins, clients[1:]))
    assert list(map(asks, clients[1:], renewed)) == [None] * 2
    assert asks(clients[0], renewed[0]) == "0x8004c60a"


# --- by commands ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operator:
    """Runs `rightsmanager domain` while the server runs."""

    server: Server

    def __call__(self, command: str, *arguments: str) -> Any:  # noqa: ANN401 -- JSON of any shape
        words = ["domain", command, "--data", str(self.server.data), "--json", *arguments]
        ran = CliRunner().invoke(rightsmanager, words, env=self.server.environment)
        if ran.exception is not None:
            raise ran.exception
        return json.loads(ran.stdout)


@dataclass(frozen=True)
class Family:
    """Devices of one account."""

    server: Server
    account: AccountId

    def join(self, device: CommandedDevice) -> None:
        named = ("--friendly-name", device.folder.name)
        device.run("join", "--url", self.server.url, "--account", self.account.text, *named)

    def acquire(self, device: CommandedDevice, kid: str, *more: str) -> Any:  # noqa: ANN401 -- JSON
        url = f"{self.server.url}?cfg=(persist:true,accountid:{self.account.text})"
        account = ("--account", self.account.text)
        return device.json("acquire", "--url", url, *account, "--kid", kid, *more)


def test_the_life_cycle_of_a_domain(
    server: Server, account: AccountId, tmp_path: Path, test_keys: dict[str, str]
) -> None:
    operator, family = Operator(server), Family(server, account)
    operator("create", account.text, "--name", "Family", "--limit", "2")
    one, two = (make_device(server.data, tmp_path / name) for name in ("one", "two"))
    for device in (one, two):
        family.join(device)
        family.acquire(device, KID)
    shown = operator("show", account.text)
    assert [member["state"] for member in shown["devices"]] == ["member"] * 2
    removed = shown["devices"][0]["device"]
    names = {member["device"]: member["name"] for member in shown["devices"]}
    out, other = (one, two) if names[removed] == "one" else (two, one)
    assert operator("remove", account.text, removed)["revision"] == 2

    assert out.json("open", KID)["content_key"] == test_keys[KID]
    with pytest.raises(NotADomainMember):
        family.acquire(out, OTHER_KID)
    with pytest.raises(NotADomainMember):
        family.join(out)

    # The fault asks it to renew, which it does by itself.
    family.acquire(other, OTHER_KID)
    assert sorted(other.json("domains")[0]["revisions"]) == [1, 2]
    assert other.json("open", KID)["content_key"] == test_keys[KID]
    assert other.json("open", OTHER_KID)["content_key"] == test_keys[OTHER_KID]

    operator("allow", account.text, removed)
    family.join(out)
    family.acquire(out, OTHER_KID)
    out.run("leave", "--account", account.text)
    operator("close", account.text)
    states = {member["state"] for member in operator("show", account.text)["devices"]}
    assert states == {"member", "left"}
