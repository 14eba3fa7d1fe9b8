"""`rightsmanager domain`: accounts, whose members share content, and who is a member."""

import json
import time
from pathlib import Path
from typing import Any, Final

import click

from rightsmanager.admin.domains import (
    DomainAdministration,
    account_facts,
    details_facts,
)
from rightsmanager.assembly import domain_authority, open_keyring
from rightsmanager.cli.device_parameter import DeviceParameter
from rightsmanager.cli.options import (
    GuidParameter,
    data_option,
    json_option,
    made_store_of,
    settings_of,
)
from rightsmanager.cli.printing import print_table
from rightsmanager.crypto.random import system_random
from rightsmanager.environment import passphrase
from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.domains import Account

_COLUMNS: Final = {
    "account_id": "account",
    "friendly_name": "friendly name",
    "members": "members",
    "limit": "limit",
    "revision": "revision",
    "created_at": "created",
    "closed_at": "closed",
}
_REVISION_COLUMNS: Final = {
    "revision": "revision",
    "key_fingerprint": "key",
    "certificate_digest": "certificate",
    "made_at": "made",
}
_DEVICE_COLUMNS: Final = {
    "device": "device",
    "name": "name",
    "state": "state",
    "joined_at": "joined",
    "revision": "revision",
    "ended_at": "ended",
}


_account: Final = click.argument("account", type=GuidParameter(AccountId))
_device: Final = click.argument("device", type=DeviceParameter())


@click.group()
def domain() -> None:
    """List, show and change accounts, each of which has one domain."""


@domain.command(name="list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List all accounts."""
    facts = [account_facts(account) for account in _administration(data).find_accounts()]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        _print(_COLUMNS, facts)


@domain.command()
@data_option
@json_option
@_account
def show(data: Path, account: AccountId, *, as_json: bool) -> None:
    """Show an ACCOUNT (GUID or base64), the revisions of its domain, and its members."""
    facts = details_facts(_administration(data).find_account(account))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    _print(_COLUMNS, [facts])
    click.echo(f"\nservice {facts['service_id']}")
    if facts["url"]:
        click.echo(f"URL     {facts['url']}")
    click.echo()
    _print(_REVISION_COLUMNS, facts["revisions"])
    click.echo()
    _print(_DEVICE_COLUMNS, facts["devices"])


@domain.command()
@data_option
@json_option
@click.option("--name", "friendly_name", help="Its friendly name. Default: the settings'.")
@click.option("--url", default="", help="Where it is joined. Default: as the settings say.")
@click.option("--limit", type=int, help="How many members it may have. Default: the settings'.")
@click.argument("account", type=GuidParameter(AccountId), required=False)
def create(  # noqa: PLR0913 -- click gives each option as an argument
    data: Path,
    account: AccountId | None,
    *,
    friendly_name: str | None,
    url: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Make an ACCOUNT (GUID or base64; a random one if it is not given)."""
    made = _administration(data).create(account, friendly_name=friendly_name, url=url, limit=limit)
    _tell(made, "is made", as_json=as_json)


@domain.command()
@data_option
@json_option
@_account
def close(data: Path, account: AccountId, *, as_json: bool) -> None:
    """Close an ACCOUNT: nobody joins it and nobody gets licences for it; members may leave."""
    _tell(_administration(data).close(account), "is closed", as_json=as_json)


@domain.command()
@data_option
@json_option
@_account
def reopen(data: Path, account: AccountId, *, as_json: bool) -> None:
    """Open a closed ACCOUNT again, with the members it had."""
    _tell(_administration(data).reopen(account), "is open", as_json=as_json)


@domain.command()
@data_option
@json_option
@_account
@click.argument("limit", type=int)
def limit(data: Path, account: AccountId, limit: int, *, as_json: bool) -> None:
    """Set how many members an ACCOUNT may have; those that there are stay."""
    changed = _administration(data).change(account, limit=limit)
    _tell(changed, f"may have {limit} members", as_json=as_json)


@domain.command()
@data_option
@json_option
@_account
@_device
def remove(data: Path, account: AccountId, device: str, *, as_json: bool) -> None:
    """Remove a member, a DEVICE, from an ACCOUNT, and renew the domain.

    It plays what it has and gets nothing new; it cannot join until `domain allow` lets it.
    """
    changed = _administration(data).remove(account, device)
    _tell(changed, f"has no member {device} any more", as_json=as_json)


@domain.command()
@data_option
@json_option
@_account
@_device
def allow(data: Path, account: AccountId, device: str, *, as_json: bool) -> None:
    """Let a DEVICE that was removed join an ACCOUNT again."""
    changed = _administration(data).allow(account, device)
    _tell(changed, f"may be joined by {device} again", as_json=as_json)


@domain.command()
@data_option
@json_option
@_account
def renew(data: Path, account: AccountId, *, as_json: bool) -> None:
    """Make the next revision of an ACCOUNT's domain: new licences need it."""
    _tell(_administration(data).renew(account), "is renewed", as_json=as_json)


def _administration(data: Path) -> DomainAdministration:
    settings = settings_of(data)
    keyring = open_keyring(settings, passphrase())
    authority = domain_authority(settings, keyring, system_random)
    return DomainAdministration(made_store_of(settings), authority, lambda: int(time.time()))


def _tell(account: Account, told: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(account_facts(account), indent=2))
        return
    click.echo(f"account {account.account_id.text} {told}")
    click.echo(
        f"revision {account.revision}, {account.members} of {account.limit} members, "
        f"{'open' if account.closed_at is None else 'closed'}"
    )


def _print(columns: dict[str, str], facts: list[dict[str, Any]]) -> None:
    rows = [[_shown(fact[name]) for name in columns] for fact in facts]
    print_table(tuple(columns.values()), rows)


def _shown(value: object) -> str:
    return "" if value is None else str(value)
