"""`rightsmanager device acquire`: licences from a server, stored if they are persistent."""

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rightsmanager.cli.device.content import Content, content_options, kid_option
from rightsmanager.cli.device.session import (
    account_option,
    custom_data_option,
    device_option,
    open_session,
    reply_notes,
    url_option,
)
from rightsmanager.cli.printing import Form, counted, json_option, print_json, print_list
from rightsmanager.device.acquire import Acknowledgement, Acquired, Wanted, acknowledge
from rightsmanager.device.membership import Membership
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.terms import State
from rightsmanager.protocol.formats.revocation import NAMES
from rightsmanager.protocol.formats.xmr.objects import (
    CopyPolicy,
    CopyPolicy2,
    ExecutePolicy,
    KeyType,
    OutputProtectionLevels,
    PlaybackPolicy,
    ReadPolicy,
    SecurityLevel,
)
from rightsmanager.protocol.messages.acknowledgement import STORED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rightsmanager.device.opening import OpenedLicense
    from rightsmanager.device.terms import Terms
    from rightsmanager.protocol.formats.xmr import License
    from rightsmanager.protocol.wire import AccountId, Kid

_COLUMNS: Final = {
    "kid": "KID",
    "content_key": "content key",
    "key_type": "key type",
    "persistent": "persistent",
    "security_level": "security level",
    "state": "state",
}
_RIGHTS: Final = {
    "play": PlaybackPolicy,
    "copy": CopyPolicy,
    "copy 2": CopyPolicy2,
    "execute": ExecutePolicy,
    "read": ReadPolicy,
}


@click.command(name="acquire")
@device_option
@url_option
@kid_option
@content_options
@account_option
@click.option("--join", "joins", is_flag=True, help="Join the domain first that the server names.")
@custom_data_option
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
    kids: "tuple[Kid, ...]",
    account_id: "AccountId | None",
    joins: bool,
    custom_data: str | None,
    keep_quiet: bool,
    form: Form,
    **content: Any,  # noqa: ANN401 -- the fields of Content
) -> None:
    """Acquire licences and print their content keys.

    Prints nothing unless every check of the reply passes. Persistent licences are stored: see
    `licenses` and `open`. With --account the device asks as a member of that account's domain, and
    joins again by itself after a renewal.
    """
    wanted = Wanted(Content(**content).header(kids), custom_data)
    session = open_session(folder)
    membership = Membership(session.domains, account_id, joins)
    acquired, acknowledged = obtain(session, url, wanted, membership, keep_quiet=keep_quiet)
    if form == "json":
        print_json(_facts(acquired, acknowledged, session.now))
    else:
        _print(acquired, session.now)
        _print_acknowledgement(acquired, acknowledged, keep_quiet=keep_quiet)


def obtain(
    session: DeviceSession,
    url: str,
    wanted: Wanted,
    membership: Membership,
    *,
    keep_quiet: bool = False,
) -> tuple[Acquired, Acknowledgement | None]:
    """Acquire licences, store the persistent ones, and acknowledge them if the reply asks."""
    client = session.client
    acquired = membership.acquire(url, wanted, client)
    failures = session.record(acquired)
    for kid in failures:
        click.echo(f"the licence for KID {kid.text} could not be stored", err=True)
    acknowledged = None if keep_quiet else acknowledge(url, acquired, client, failures)
    return acquired, acknowledged


def license_facts(license_: "OpenedLicense", now: int) -> dict[str, object]:
    """Return the facts of an opened licence at `now`, its content key among them."""
    level = license_.license.find(SecurityLevel)
    return {
        "kid": license_.kid.text,
        "content_key": license_.content_key.hex(),
        "key_type": KeyType(license_.key_type).name,
        "rights_id": license_.license.rights_id.hex(),
        "persistent": license_.persistent,
        "security_level": None if level is None else level.level,
        "state": license_.terms.state(now, None).value,
        "rights": [name for name, policy in _RIGHTS.items() if license_.license.find(policy)],
        **terms_facts(license_.terms),
        "output_levels": _output_levels(license_.license),
    }


def terms_facts(terms: "Terms") -> dict[str, object]:
    """Return the dates and ids of a licence; dates in Unix seconds."""
    return {
        "issued": terms.issued,
        "begin": terms.begin,
        "end": terms.end,
        "expire_after_first_play": terms.first_play,
        "removal_date": terms.removal,
        "metering_id": None if terms.metering is None else terms.metering.text,
        "secure_stop": None if terms.secure_stop is None else terms.secure_stop.text,
    }


def _output_levels(license_: "License") -> dict[str, int] | None:
    found = license_.find(OutputProtectionLevels)
    if found is None:
        return None
    names = (each.name for each in fields(found) if each.name != "flags")
    return {name: getattr(found, name) for name in names}


def print_opened(licenses: "Sequence[OpenedLicense]", now: int) -> None:
    """Print opened licences as a table, with their content keys."""
    print_list(None, [license_facts(each, now) for each in licenses], _COLUMNS)


def _facts(acquired: Acquired, acknowledged: Acknowledgement | None, now: int) -> dict[str, object]:
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
        "warnings": reply_notes().warnings,
        "licenses": [license_facts(license_, now) for license_ in acquired.licenses],
    }


def _print(acquired: Acquired, now: int) -> None:
    print_opened(acquired.licenses, now)
    signed = "signed" if acquired.response.signing_chain is not None else "not signed"
    licenses = counted(len(acquired.licenses), "licence")
    click.echo(f"{licenses}, the reply {signed}; {_verdict(acquired, now)}")


def _verdict(acquired: Acquired, now: int) -> str:
    """Return the result of the checks, and the licences that cannot be used now."""
    states = Counter(each.terms.state(now, None) for each in acquired.licenses)
    unusable = [
        f"{counted(states[state], 'licence')} {state.value}"
        for state in State
        if state is not State.GOOD and states[state]
    ]
    if not unusable:
        return "every check passed"
    return f"the reply is valid, but not usable now: {', '.join(unusable)}"


def _print_acknowledgement(
    acquired: Acquired, acknowledged: Acknowledgement | None, *, keep_quiet: bool
) -> None:
    transaction_id = acquired.response.transaction_id
    if transaction_id is None:
        return
    if acknowledged is not None:
        failed = sum(each.result != STORED for each in acknowledged.results)
        stored = counted(len(acknowledged.results) - failed, "licence")
        result = f"acknowledged {stored} as stored"
        result += f", {failed} as not stored" if failed else ""
    elif keep_quiet:
        result = "not acknowledged, because of --no-acknowledge"
    else:
        result = "nothing to acknowledge: no licence is persistent"
    click.echo(f"transaction {transaction_id.text}: {result}")
