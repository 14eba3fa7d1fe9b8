"""`rightsmanager domain`: accounts, their domains and the members of these."""

from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.domains import DomainAdministration, account_facts, details_facts
from rightsmanager.assembly import domain_authority
from rightsmanager.cli.device_parameter import DEVICE
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import ACCOUNT
from rightsmanager.cli.printing import (
    Form,
    counted,
    form_options,
    json_option,
    print_json,
    print_list,
    print_result,
)
from rightsmanager.crypto.random import system_random

if TYPE_CHECKING:
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

_account: Final = click.argument("account", type=ACCOUNT)
_device: Final = click.argument("device", type=DEVICE)


@click.group()
def domain() -> None:
    """Manage accounts and their domains.

    An ACCOUNT is a GUID or base64. A DEVICE is its id, its chain's file or its folder.
    """


@domain.command(name="list")
@pass_operator
@form_options
def list_(operator: Operator, *, form: Form) -> None:
    """List all accounts."""
    facts = [account_facts(account) for account in _administration(operator).find_accounts()]
    print_list(form, facts, _COLUMNS)


@domain.command()
@pass_operator
@json_option
@_account
def show(operator: Operator, *, account: "AccountId", form: Form) -> None:
    """Show an account, its domain's revisions and its members."""
    facts = details_facts(_administration(operator).find_account(account))
    if form == "json":
        print_json(facts)
        return
    print_list(form, [facts], _COLUMNS)
    click.echo(f"\nservice {facts.service_id.text}")
    if facts.url:
        click.echo(f"URL     {facts.url}")
    click.echo()
    print_list(form, facts.revisions, _REVISION_COLUMNS)
    click.echo()
    print_list(form, facts.devices, _DEVICE_COLUMNS)


@domain.command()
@pass_operator
@json_option
@click.option("--name", "friendly_name", help="The friendly name.  [default: domain.friendly_name]")
@click.option("--url", default="", help="The URL for joining.  [default: domain.url]")
@click.option("--limit", type=int, help="The most members.  [default: domain.max_members]")
@click.argument("account", type=ACCOUNT, required=False)
def create(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    account: "AccountId | None",
    friendly_name: str | None,
    url: str,
    limit: int | None,
    form: Form,
) -> None:
    """Create an account, with a random id unless one is given."""
    made = _administration(operator).create(
        account, friendly_name=friendly_name, url=url, limit=limit
    )
    _print(made, "is created", form)


@domain.command()
@pass_operator
@json_option
@_account
def close(operator: Operator, *, account: "AccountId", form: Form) -> None:
    """Close an account.

    Joins and licences are refused until it is reopened; members may leave.
    """
    _print(_administration(operator).close(account), "is closed", form)


@domain.command()
@pass_operator
@json_option
@_account
def reopen(operator: Operator, *, account: "AccountId", form: Form) -> None:
    """Reopen a closed account with its members."""
    _print(_administration(operator).reopen(account), "is open", form)


@domain.command()
@pass_operator
@json_option
@_account
@click.argument("limit", type=int)
def limit(operator: Operator, *, account: "AccountId", limit: int, form: Form) -> None:
    """Limit the members of an account; existing ones stay."""
    changed = _administration(operator).change(account, limit=limit)
    _print(changed, f"may have {counted(limit, 'member')}", form)


@domain.command()
@pass_operator
@json_option
@_account
@_device
def remove(operator: Operator, *, account: "AccountId", device: str, form: Form) -> None:
    """Remove a device from an account and renew the domain.

    The device plays the licences that it has and gets no new ones. It cannot join again until
    `domain allow`.
    """
    changed = _administration(operator).remove(account, device)
    _print(changed, f"no longer has the member {device}", form)


@domain.command()
@pass_operator
@json_option
@_account
@_device
def allow(operator: Operator, *, account: "AccountId", device: str, form: Form) -> None:
    """Allow a removed device to join an account again."""
    changed = _administration(operator).allow(account, device)
    _print(changed, f"may be joined by {device} again", form)


@domain.command()
@pass_operator
@json_option
@_account
def renew(operator: Operator, *, account: "AccountId", form: Form) -> None:
    """Make the next revision of a domain for new licences."""
    _print(_administration(operator).renew(account), "is renewed", form)


def _administration(operator: Operator) -> DomainAdministration:
    authority = domain_authority(operator.settings, operator.keyring, system_random)
    return DomainAdministration(operator.store, authority, now)


def _print(account: "Account", change: str, form: Form) -> None:
    print_result(
        form,
        account_facts(account),
        f"account {account.account_id.text} {change}",
        f"revision {account.revision}, {account.members} of {counted(account.limit, 'member')}, "
        f"{'open' if account.closed_at is None else 'closed'}",
    )
