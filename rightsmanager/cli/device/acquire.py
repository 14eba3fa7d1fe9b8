"""`rightsmanager device acquire`: licences from a server, kept where they are persistent."""

import json
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.device.content import Content, content_options, kid_option
from rightsmanager.cli.device.player import (
    DeviceSession,
    account_option,
    counted,
    device_option,
    player_of,
    url_option,
)
from rightsmanager.cli.options import json_option
from rightsmanager.cli.printing import print_table
from rightsmanager.device.acknowledge import Acknowledged, acknowledge
from rightsmanager.device.acquire import Acquired, Wanted
from rightsmanager.device.calling import ServerClient
from rightsmanager.device.membership import Membership
from rightsmanager.device.opening import OpenedLicense
from rightsmanager.device.revocation import save_lists
from rightsmanager.protocol.formats.revocation import NAMES
from rightsmanager.protocol.formats.xmr.objects import KeyType, SecurityLevel
from rightsmanager.protocol.messages.acknowledgement import STORED
from rightsmanager.protocol.wire import AccountId, Kid


@click.command(name="acquire")
@device_option
@url_option
@kid_option
@content_options
@account_option
@click.option(
    "--join", "joins", is_flag=True, help="Join the domain that the server says is needed, first."
)
@click.option("--custom-data", help="CustomData of the challenge.")
@click.option(
    "--no-acknowledge",
    "keep_quiet",
    is_flag=True,
    help="Do not acknowledge the licences, even if the reply asks for it.",
)
@json_option
def acquire_(  # noqa: PLR0913 -- one parameter for each option
    folder: Path,
    *,
    url: str,
    kids: tuple[Kid, ...],
    account_id: AccountId | None,
    joins: bool,
    custom_data: str | None,
    keep_quiet: bool,
    as_json: bool,
    **content: Any,  # noqa: ANN401 -- the fields of Content
) -> None:
    """Acquire licences and print them with their content keys, if every check passes.

    The device keeps those that are persistent: see `licenses` and `open`. With --account it asks
    as a member of that account's domain, and joins again by itself once the domain was renewed.
    """
    wanted = Wanted(Content(**content).header(kids), custom_data)
    player = player_of(folder)
    membership = Membership(player.domains, account_id, joins)
    acquired, acknowledged = obtain(player, url, wanted, membership, keep_quiet=keep_quiet)
    if as_json:
        click.echo(json.dumps(_facts(acquired, acknowledged), indent=2))
    else:
        _print(acquired)
        _print_acknowledgement(acquired, acknowledged, keep_quiet=keep_quiet)


def obtain(
    player: DeviceSession,
    url: str,
    wanted: Wanted,
    membership: Membership,
    *,
    keep_quiet: bool = False,
) -> tuple[Acquired, Acknowledged | None]:
    """Return what a server gave, kept where it is persistent, and acknowledged where it asks."""
    caller = player.caller
    acquired = membership.acquire(url, wanted, caller)
    save_lists(player.folder, acquired.held)
    failures = player.licenses.record_all(acquired.licenses)
    for kid in failures:
        click.echo(f"the licence for KID {kid.text} could not be kept", err=True)
    acknowledged = None if keep_quiet else _acknowledge(url, acquired, caller, failures)
    return acquired, acknowledged


def _acknowledge(
    url: str, acquired: Acquired, caller: ServerClient, failures: dict[Kid, int]
) -> Acknowledged | None:
    return acknowledge(
        url,
        acquired,
        caller.opening,
        caller.server,
        now=caller.now,
        rng=caller.rng,
        post=caller.post,
        failures=failures,
    )


def _facts(acquired: Acquired, acknowledged: Acknowledged | None) -> dict[str, Any]:
    transaction_id = acquired.response.transaction_id
    return {
        "signed": acquired.response.signing_chain is not None,
        "transaction_id": None if transaction_id is None else transaction_id.text,
        "acknowledged": [
            {"kid": each.kid.text, "result": f"0x{each.result:08x}"}
            for each in (acknowledged.results if acknowledged else ())
        ],
        "revocation_lists": {NAMES[each.list_id]: each.version for each in acquired.held.lists},
        "custom_data": acquired.response.custom_data,
        "licenses": [license_facts(license_) for license_ in acquired.licenses],
    }


def license_facts(license_: OpenedLicense) -> dict[str, Any]:
    """Return what is told of a licence that was opened."""
    level = license_.license.find(SecurityLevel)
    return {
        "kid": license_.kid.text,
        "content_key": license_.content_key.hex(),
        "key_type": KeyType(license_.key_type).name,
        "rights_id": license_.license.rights_id.hex(),
        "persistent": license_.persistent,
        "security_level": None if level is None else level.level,
    }


def print_opened(licenses: tuple[OpenedLicense, ...]) -> None:
    """Print licences that were opened, and their content keys."""
    rows = [
        [
            fact["kid"],
            fact["content_key"],
            fact["key_type"],
            "yes" if fact["persistent"] else "no",
            str(fact["security_level"]),
        ]
        for fact in map(license_facts, licenses)
    ]
    print_table(("KID", "content key", "key type", "persistent", "security level"), rows)


def _print(acquired: Acquired) -> None:
    print_opened(acquired.licenses)
    signed = "signed" if acquired.response.signing_chain is not None else "not signed"
    click.echo(f"{counted(len(acquired.licenses))}, the reply {signed}; every check passed")


def _print_acknowledgement(
    acquired: Acquired, acknowledged: Acknowledged | None, *, keep_quiet: bool
) -> None:
    transaction_id = acquired.response.transaction_id
    if transaction_id is None:
        return
    if acknowledged is not None:
        failed = sum(each.result != STORED for each in acknowledged.results)
        told = f"acknowledged {counted(len(acknowledged.results) - failed)} as stored"
        told += f", {failed} as not stored" if failed else ""
    elif keep_quiet:
        told = "not acknowledged, as --no-acknowledge says"
    else:
        told = "nothing to acknowledge: no licence is persistent"
    click.echo(f"transaction {transaction_id.text}: {told}")
