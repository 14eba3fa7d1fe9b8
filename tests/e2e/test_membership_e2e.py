"""A family of devices: they join, share licences as files, and leave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import (
    DomainRequired,
    InternalError,
    InvalidMessage,
    NotADomainMember,
    ServiceSpecific,
)
from rightsmanager.protocol.wire import AccountId
from tests.databases import on_sqlite
from tests.e2e.devices import CommandedDevice, make_device, text
from tests.e2e.losing import losing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Server

pytestmark = on_sqlite
KID = "4Rplb+TbNES8tGkNFWTEHA=="
SERVICE = "0345be98-f987-40e5-a4dd-0aa21a7f6897"


@pytest.fixture
def account() -> str:
    return AccountId(system_random(16)).text


@pytest.fixture
def one(server: Server, tmp_path: Path) -> CommandedDevice:
    return make_device(server.data, tmp_path / "one")


@pytest.fixture
def two(server: Server, tmp_path: Path) -> CommandedDevice:
    return make_device(server.data, tmp_path / "two")


def copy_of(device: CommandedDevice, folder: Path) -> CommandedDevice:
    """Return a copy of the device that does not notice what the device does."""
    shutil.copytree(device.folder, folder)
    return CommandedDevice(folder)


def bound_at(url: str, account: str) -> str:
    return f"{url}?cfg=(persist:true,accountid:{account})"


def bound(server: Server, account: str) -> str:
    return bound_at(server.url, account)


def test_a_device_joins_and_lists_its_domain(
    server: Server, one: CommandedDevice, account: str
) -> None:
    joined = ("join", "--url", server.url, "--account", account, "--friendly-name", "living room")
    for _ in range(2):
        assert one.run(*joined) == (
            f"The device joined account {account}; its domain has revision 1.\n"
        )
    (domain,) = one.json("domains")
    assert (domain["account_id"], domain["service_id"]) == (account, SERVICE)
    assert domain["revisions"] == [1]
    head, row, end = (line.rstrip() for line in one.run("domains").splitlines())
    assert head.split("  ")[0] == "account"
    assert row.split()[:3] == [account, SERVICE, "1"]
    assert end == "1 domain"


def test_the_url_may_name_the_account(server: Server, one: CommandedDevice, account: str) -> None:
    joined = one.json("join", "--url", f"{server.url}?cfg=(accountid:{account})")
    assert joined["account_id"] == account


def test_a_member_opens_the_licence_that_another_shares(
    server: Server,
    one: CommandedDevice,
    two: CommandedDevice,
    account: str,
    tmp_path: Path,
    *,
    test_keys: dict[str, str],
) -> None:
    for device in (one, two):
        device.run("join", "--url", server.url, "--account", account)
    one.run("acquire", "--url", bound(server, account), "--account", account, "--kid", KID)
    (listed,) = one.json("licenses")
    assert listed["bound_to"] == {"kind": "domain", "account_id": account, "revision": 1}
    file = tmp_path / "shared.xmr"
    one.run("export", KID, str(file))
    assert two.json("open", str(file))["content_key"] == test_keys[KID]
    two.run("import", str(file))
    assert two.json("open", KID)["content_key"] == test_keys[KID]
    stranger = make_device(server.data, tmp_path / "stranger")
    with pytest.raises(InvalidMessage, match=f"domain of account {account} at revision 1"):
        stranger.run("open", str(file))


def test_a_device_outside_the_domain_gets_no_licence(
    server: Server, one: CommandedDevice, account: str
) -> None:
    with pytest.raises(DomainRequired):
        one.run("acquire", "--url", bound(server, account), "--kid", KID)
    assert one.json("domains") == one.json("licenses") == []


def test_with_join_the_device_joins_first(
    server: Server, one: CommandedDevice, account: str, test_keys: dict[str, str]
) -> None:
    acquired = one.json("acquire", "--url", bound(server, account), "--join", "--kid", KID)
    assert acquired["licenses"][0]["content_key"] == test_keys[KID]
    assert [domain["account_id"] for domain in one.json("domains")] == [account]
    one.run("acquire", "--url", bound(server, account), "--account", account, "--kid", KID)
    assert len(one.json("licenses")) == 2


def test_a_device_that_left_cannot_open_the_domains_licences(
    server: Server, one: CommandedDevice, account: str
) -> None:
    one.run("join", "--url", server.url, "--account", account)
    one.run("acquire", "--url", bound(server, account), "--account", account, "--kid", KID)
    left = one.run("leave", "--account", account)
    assert left == f"The device left account {account}; the domain's keys are deleted.\n"
    with pytest.raises(InvalidMessage, match="whose key the device does not have"):
        one.run("open", KID)
    with pytest.raises(InternalError, match=f"no domain of account {account}"):
        one.run("leave", "--account", account)


def test_after_a_lost_reply_leaving_is_repeated(
    server: Server, one: CommandedDevice, account: str, tmp_path: Path
) -> None:
    one.run("join", "--url", server.url, "--account", account)
    copied = copy_of(one, tmp_path / "copied")
    one.run("leave", "--account", account)
    left = copied.run("leave", "--account", account, "--url", server.url)
    assert left == (
        f"The device was not a member of account {account}; the domain's keys are deleted.\n"
    )


def test_a_device_that_left_elsewhere_gets_a_fault_and_keeps_its_keys(
    server: Server, one: CommandedDevice, account: str, tmp_path: Path, test_keys: dict[str, str]
) -> None:
    one.run("join", "--url", server.url, "--account", account)
    one.run("acquire", "--url", bound(server, account), "--account", account, "--kid", KID)
    copied = copy_of(one, tmp_path / "copied")
    one.run("leave", "--account", account)
    acquire = ("acquire", "--url", bound(server, account), "--account", account, "--kid", KID)
    with pytest.raises(NotADomainMember, match="the device keeps its keys of the domain"):
        copied.run(*acquire)
    assert copied.json("open", KID)["content_key"] == test_keys[KID]


def test_another_service_is_refused(server: Server, one: CommandedDevice, account: str) -> None:
    with pytest.raises(ServiceSpecific, match=f"expected that of this service, {SERVICE}"):
        one.run("join", "--url", server.url, "--account", account, "--service", text(KID))


Operate = Callable[..., Any]
"""Runs `rightsmanager domain` and returns its JSON."""


@pytest.fixture
def operate(server: Server) -> Operate:
    def run(name: str, *arguments: str) -> Any:  # noqa: ANN401 -- JSON of any shape
        command = ["domain", name, "--data", str(server.data), "--json", *arguments]
        ran = CliRunner().invoke(rightsmanager, command, env=server.environment)
        assert ran.exit_code == 0, ran.output
        return json.loads(ran.stdout)

    return run


def test_members_renew_and_a_removed_device_keeps_its_licences(
    server: Server,
    one: CommandedDevice,
    two: CommandedDevice,
    account: str,
    tmp_path: Path,
    *,
    operate: Operate,
    test_keys: dict[str, str],
) -> None:
    acquire = ("acquire", "--url", bound(server, account), "--account", account, "--kid", KID)
    for device in (one, two):
        device.run("join", "--url", server.url, "--account", account)
        device.run(*acquire)
    old, new = tmp_path / "old.xmr", tmp_path / "new.xmr"
    one.run("export", KID, str(old))
    operate("remove", account, two.json("show")["device"])
    one.run(*acquire)
    assert one.json("domains")[0]["revisions"] == [2, 1]
    one.run("export", KID, str(new))
    for file in (old, new):
        assert one.json("open", str(file))["content_key"] == test_keys[KID]
    gone = two.invoke(*acquire)
    assert isinstance(gone.exception, NotADomainMember)
    assert "the device keeps its keys of the domain" in str(gone.exception)
    assert two.json("open", str(old))["content_key"] == test_keys[KID]
    with pytest.raises(InvalidMessage, match="at revision 2, whose key the device does not have"):
        two.run("open", str(new))
    with pytest.raises(NotADomainMember):
        two.run("join", "--url", server.url, "--account", account)


def test_a_renewal_by_hand_costs_one_more_join(
    server: Server, one: CommandedDevice, account: str, operate: Operate
) -> None:
    asked: list[str] = []

    def note(operation: str) -> bool:
        asked.append(operation)
        return False

    one.run("join", "--url", server.url, "--account", account)
    for _ in range(2):
        operate("renew", account)
    with losing(server.url, note) as url:
        for _ in range(2):
            one.run("acquire", "--url", bound_at(url, account), "--account", account, "--kid", KID)
    # It joins where the fault says, which is not through this network.
    assert asked == ["AcquireLicense"] * 3
    assert one.json("domains")[0]["revisions"] == [3, 2, 1]
