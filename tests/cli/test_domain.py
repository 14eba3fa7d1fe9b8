"""`rightsmanager domain`: accounts and their members."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.protocol.wire import AccountId
from rightsmanager.settings_loading import load
from rightsmanager.store.database import open_store
from rightsmanager.store.domains import Member

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Ran, Run

ACCOUNT = AccountId(b"account id 00001")
DEVICE = base64.b64encode(bytes([0xFB] * 32)).decode()
SPELLINGS = (DEVICE, DEVICE.replace("+", "-").replace("/", "_").rstrip("="), "fb" * 32)


class Domains:
    """The command's own commands over a data folder."""

    def __init__(self, run: Run, data: Path) -> None:
        self._run = run
        self._data = data

    def __call__(self, command: str, *arguments: str) -> Ran:
        return self._run("domain", command, "--data", str(self._data), *arguments)

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self("show", ACCOUNT.text, "--json").json
        return found

    def refused(self, command: str, *arguments: str) -> str:
        ran = self(command, *arguments)
        assert ran.status == 1
        assert ran.output == ""
        return ran.errors

    def join(self, device: str) -> None:
        """Record a device in the store as if it had joined."""
        store = open_store(load(None, data=self._data).effective_database_url)
        with store.transaction() as transaction:
            assert transaction.domains.reserve_seat(ACCOUNT)
            transaction.domains.record_member(ACCOUNT, Member(device, "TV", 1790000000, 1))
        store.close()


@pytest.fixture
def domains(run: Run, data: Path) -> Domains:
    return Domains(run, data)


@pytest.fixture
def made(domains: Domains) -> Domains:
    assert domains("create", ACCOUNT.text).status == 0
    return domains


def test_a_new_database_has_no_accounts(domains: Domains) -> None:
    assert domains("list", "--json").json == []
    text = domains.refused("show", ACCOUNT.text)
    assert text == f"rightsmanager: there is no account {ACCOUNT.text}\n"


def test_an_account_has_the_defaults_of_the_settings(made: Domains) -> None:
    (account,) = made("list", "--json").json
    assert account["account_id"] == ACCOUNT.text
    assert account["service_id"] == "0345be98-f987-40e5-a4dd-0aa21a7f6897"
    assert (account["friendly_name"], account["url"]) == ("Test domain", "")
    assert (account["limit"], account["members"], account["revision"]) == (5, 0, 1)
    assert account["closed_at"] is None


def test_an_account_has_the_values_of_the_options(domains: Domains) -> None:
    url = "https://domains.test/"
    printed = domains("create", "--name", "Family", "--url", url, "--limit", "2", "--json").json
    assert (printed["friendly_name"], printed["url"], printed["limit"]) == ("Family", url, 2)
    other = domains("create", "--json").json
    assert other["account_id"] != printed["account_id"]
    assert len(domains("list", "--json").json) == 2


def test_no_account_is_created_twice(made: Domains) -> None:
    assert "is there, expected a new one" in made.refused("create", ACCOUNT.base64)


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--name", "x" * 257, "friendly_name has 257 characters"),
        ("--name", "a\nb", "all printable"),
        ("--url", "ftp://domains.test/", "url is 'ftp://domains.test/', expected http://"),
        ("--url", "https://ü.test/", "url is"),
        ("--limit", "-1", "limit is -1, expected 0 to"),
        ("--limit", "2147483648", "limit is 2147483648"),
    ],
)
def test_invalid_values_of_an_account_are_refused(
    domains: Domains, option: str, value: str, text: str
) -> None:
    assert text in domains.refused("create", f"{option}={value}")
    assert domains("list", "--json").json == []


def test_a_renewal_makes_a_revision_with_a_new_key(made: Domains) -> None:
    assert f"account {ACCOUNT.text} is renewed" in made("renew", ACCOUNT.text).output
    revisions = made.facts()["revisions"]
    assert [each["revision"] for each in revisions] == [2, 1]
    assert len({each["key_fingerprint"] for each in revisions}) == 2
    assert len({each["certificate_digest"] for each in revisions}) == 2


@pytest.mark.parametrize("device", SPELLINGS)
def test_removing_a_member_renews_the_domain(made: Domains, device: str) -> None:
    made.join(DEVICE)
    printed = made("remove", "--", ACCOUNT.text, device)
    assert "revision 2, 0 of 5 members, open" in printed.output
    (member,) = made.facts()["devices"]
    assert (member["device"], member["name"], member["state"]) == (DEVICE, "TV", "removed")
    assert "is not a member" in made.refused("remove", "--", ACCOUNT.text, device)
    assert made.facts()["revision"] == 2
    assert "again" in made("allow", "--", ACCOUNT.text, device).output
    assert made.facts()["devices"][0]["state"] == "left"
    assert "was not removed" in made.refused("allow", "--", ACCOUNT.text, device)


def test_an_account_is_shown_as_tables(made: Domains) -> None:
    made.join(DEVICE)
    lines = [line.split() for line in made("show", ACCOUNT.text).output.splitlines()]
    assert lines[0] == [
        *("account", "friendly", "name", "members", "limit", "revision", "created", "closed")
    ]
    assert lines[1][:6] == [ACCOUNT.text, "Test", "domain", "1", "5", "1"]
    assert lines[3] == ["service", "0345be98-f987-40e5-a4dd-0aa21a7f6897"]
    assert lines[-1][:3] == [DEVICE, "TV", "member"]


def test_the_limit_may_be_below_the_number_of_members(made: Domains) -> None:
    made.join(DEVICE)
    assert "revision 1, 1 of 0 members" in made("limit", ACCOUNT.text, "0").output
    assert made.facts()["limit"] == 0
    assert "limit is 2147483648" in made.refused("limit", ACCOUNT.text, "2147483648")


def test_an_account_is_closed_and_reopened(made: Domains) -> None:
    assert "0 of 5 members, closed" in made("close", ACCOUNT.text).output
    assert made.facts()["closed_at"] is not None
    assert "is closed" in made.refused("close", ACCOUNT.text)
    assert "0 of 5 members, open" in made("reopen", ACCOUNT.text).output
    assert "is open" in made.refused("reopen", ACCOUNT.text)


@pytest.mark.parametrize("command", ["close", "reopen", "renew"])
def test_an_unknown_account_is_refused(domains: Domains, command: str) -> None:
    assert "there is no account" in domains.refused(command, ACCOUNT.text)


@pytest.mark.parametrize("device", ["", "x", "fb" * 31, DEVICE[:-4]])
def test_an_invalid_device_is_a_usage_error(made: Domains, device: str) -> None:
    ran = made("remove", ACCOUNT.text, device)
    assert ran.status == 2
    assert "in hexadecimal digits or base64" in ran.errors


def test_no_private_key_is_shown(made: Domains, secrets: set[str], data: Path) -> None:
    made.join(DEVICE)
    made("renew", ACCOUNT.text)
    text = made("show", ACCOUNT.text).output + made("show", ACCOUNT.text, "--json").output
    store = open_store(load(None, data=data).effective_database_url)
    with store.reading() as found:
        sealed = [revision.ciphertext for revision in found.domains.find_revisions(ACCOUNT)]
    store.close()
    assert len(sealed) == 2
    for secret in (*secrets, *(base64.b64encode(each).decode() for each in sealed)):
        assert secret not in text


def test_without_the_issuers_key_nothing_is_made_or_renewed(made: Domains, data: Path) -> None:
    (data / "keyring" / "domain-issuer.key").unlink()
    for command in (("create",), ("renew", ACCOUNT.text)):
        assert "the key of the domain issuer is not in the keyring" in made.refused(*command)
    assert made("limit", ACCOUNT.text, "3").status == 0
