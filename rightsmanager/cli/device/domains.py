"""`rightsmanager device join`, `leave`, `domains`: the domains that a device is a member of."""

import json
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.device.player import (
    DeviceSession,
    account_option,
    counted,
    device_option,
    player_of,
    url_option,
)
from rightsmanager.cli.options import GuidParameter, json_option
from rightsmanager.cli.printing import print_table
from rightsmanager.device.domains import HeldDomain
from rightsmanager.device.membership import Joining, join, leave
from rightsmanager.errors import InternalError
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.settings import default_settings


@click.command(name="join")
@device_option
@url_option
@account_option
@click.option(
    "--service",
    "service_id",
    type=GuidParameter(ServiceId),
    help="DomainServiceID, GUID or base64.  [default: the settings' domain.service_id]",
)
@click.option("--friendly-name", help="How the device is called in the domain.")
@click.option("--custom-data", help="CustomData of the challenge.")
@json_option
def join_(  # noqa: PLR0913 -- one parameter for each option
    folder: Path,
    *,
    url: str,
    account_id: AccountId | None,
    service_id: ServiceId | None,
    friendly_name: str | None,
    custom_data: str | None,
    as_json: bool,
) -> None:
    """Join a domain, or join it again for its new revisions.

    The account is the one of --account, else the one that the URL, CustomData or the server's
    settings name. The device keeps the certificate and the private key of every revision.
    """
    player = player_of(folder)
    service_id = service_id or _service_id(player, account_id)
    joining = Joining(service_id, account_id, friendly_name, custom_data)
    domain = join(url, joining, player.caller)
    player.domains.record(domain)
    if as_json:
        click.echo(json.dumps(_facts(domain), indent=2))
        return
    held = counted(len(domain.revisions), "revision")
    click.echo(
        f"The device is a member of account {domain.account_id.text}, with {held}, the newest "
        f"{domain.newest.revision}."
    )


@click.command(name="leave")
@device_option
@click.option("--url", help="The server's URL.  [default: the domain's own]")
@click.option(
    "--account",
    "account_id",
    required=True,
    type=GuidParameter(AccountId),
    help="Whose domain, GUID or base64.",
)
def leave_(folder: Path, *, url: str | None, account_id: AccountId) -> None:
    """Leave a domain and delete its keys: its licences do not open any more.

    A device that is no member any longer deletes them too.
    """
    player = player_of(folder)
    domain = player.domains.find(account_id)
    if domain is None:
        raise InternalError(f"the device has no domain of account {account_id.text}")
    was_member = leave(url or domain.url, domain, player.caller)
    player.domains.remove(account_id)
    told = "left" if was_member else "was no member of"
    click.echo(f"The device {told} account {account_id.text}; the domain's keys are deleted.")


@click.command()
@device_option
@json_option
def domains(folder: Path, *, as_json: bool) -> None:
    """List the domains whose keys the device has, with their revisions."""
    facts = [_facts(domain) for domain in player_of(folder).domains.find_all()]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    rows = [
        [
            fact["account_id"],
            fact["service_id"],
            ", ".join(map(str, fact["revisions"])),
            fact["friendly_name"] or "-",
            fact["url"] or "-",
        ]
        for fact in facts
    ]
    print_table(("account", "service", "revisions", "friendly name", "URL"), rows)
    click.echo(counted(len(rows), "domain"))


def _service_id(player: DeviceSession, account_id: AccountId | None) -> ServiceId:
    held = None if account_id is None else player.domains.find(account_id)
    return (
        ServiceId.parse(default_settings().domain.service_id) if held is None else held.service_id
    )


def _facts(domain: HeldDomain) -> dict[str, Any]:
    return {
        "account_id": domain.account_id.text,
        "service_id": domain.service_id.text,
        "revisions": [each.revision for each in domain.revisions],
        "friendly_name": domain.friendly_name,
        "url": domain.url,
    }
