"""`rightsmanager device join`, `leave` and `domains`: the domains of a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.device.session import (
    account_option,
    custom_data_option,
    device_option,
    open_session,
    reply_notes,
    server_options,
    url_option,
)
from rightsmanager.cli.options import ACCOUNT, SERVICE
from rightsmanager.cli.printing import (
    Form,
    counted,
    form_options,
    json_option,
    print_list,
    print_result,
)
from rightsmanager.device.membership import Joining, join, leave
from rightsmanager.device.session import DeviceSession
from rightsmanager.errors import InternalError
from rightsmanager.protocol.wire import AccountId, ServiceId

if TYPE_CHECKING:
    from rightsmanager.device.domains import HeldDomain

_COLUMNS: Final = {
    "account_id": "account",
    "service_id": "service",
    "revisions": "revisions",
    "friendly_name": "friendly name",
    "url": "URL",
}


@click.command(name="join")
@device_option
@url_option
@account_option
@click.option(
    "--service",
    "service_id",
    type=SERVICE,
    help="DomainServiceID, GUID or base64.  [default: domain.service_id]",
)
@click.option("--friendly-name", help="The device's name in the domain.")
@custom_data_option
@json_option
def join_(  # noqa: PLR0913 -- one parameter for each option
    folder: Path,
    *,
    url: str,
    account_id: AccountId | None,
    service_id: ServiceId | None,
    friendly_name: str | None,
    custom_data: str | None,
    form: Form,
) -> None:
    """Join a domain, or join it again after a renewal.

    The account is that of --account, else that of the URL, of CustomData or of the server's
    settings. The device stores the certificate and the private key of every revision.
    """
    session = open_session(folder)
    service_id = service_id or _service_id(session, account_id)
    joining = Joining(service_id, account_id, friendly_name, custom_data)
    domain = join(url, joining, session.client)
    session.domains.record(domain)
    print_result(
        form,
        {**_facts(domain), **reply_notes().take()},
        f"The device joined account {domain.account_id.text}; its domain has revision "
        f"{domain.newest.revision}.",
    )


@click.command(name="leave")
@device_option
@click.option("--url", help="The server's URL.  [default: the domain's own]")
@server_options
@click.option(
    "--account", "account_id", required=True, type=ACCOUNT, help="The account, GUID or base64."
)
def leave_(folder: Path, *, url: str | None, account_id: AccountId) -> None:
    """Leave a domain and delete its keys.

    Its licences do not open any more. A device that is not a member any longer deletes the keys
    too.
    """
    session = open_session(folder)
    domain = session.domains.find(account_id)
    if domain is None:
        raise InternalError(f"the device has no domain of account {account_id.text}")
    was_member = leave(url or domain.url, domain, session.client)
    session.domains.remove(account_id)
    result = "left" if was_member else "was not a member of"
    click.echo(f"The device {result} account {account_id.text}; the domain's keys are deleted.")


@click.command()
@device_option
@form_options
def domains(folder: Path, *, form: Form) -> None:
    """List the domains that the device joined."""
    facts = [_facts(domain) for domain in open_session(folder).domains.find_all()]
    print_list(form, facts, _COLUMNS, footer=counted(len(facts), "domain"))


def _service_id(session: DeviceSession, account_id: AccountId | None) -> ServiceId:
    held = None if account_id is None else session.domains.find(account_id)
    if held is not None:
        return held.service_id
    # The settings cost 60 ms, and other commands of a device do without.
    from rightsmanager.settings_loading import default_settings  # noqa: PLC0415

    return ServiceId.parse(default_settings().domain.service_id)


def _facts(domain: "HeldDomain") -> dict[str, object]:
    return {
        "account_id": domain.account_id.text,
        "service_id": domain.service_id.text,
        "revisions": [each.revision for each in domain.revisions],
        "friendly_name": domain.friendly_name,
        "url": domain.url,
    }
