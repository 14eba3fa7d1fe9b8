"""`rightsmanager device play`: uses a licence as a player does, without the content."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rightsmanager.cli.device.acquire import obtain
from rightsmanager.cli.device.content import Content, content_options
from rightsmanager.cli.device.session import (
    account_option,
    custom_data_option,
    device_option,
    open_session,
    reply_notes,
    server_options,
)
from rightsmanager.cli.operator import now
from rightsmanager.cli.options import KID
from rightsmanager.cli.printing import Form, counted, json_option, print_json
from rightsmanager.crypto.random import system_random
from rightsmanager.device.acquire import Wanted
from rightsmanager.device.membership import Membership
from rightsmanager.device.playing import MAX_TIMES, Playback, start
from rightsmanager.device.playing import stop as stop_cleanly
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.terms import refuse_unusable
from rightsmanager.errors import InvalidMessage

if TYPE_CHECKING:
    from rightsmanager.device.opening import OpenedLicense
    from rightsmanager.protocol.wire import AccountId, Kid


@click.command()
@device_option
@click.argument("kid", type=KID)
@click.option(
    "--times",
    type=click.IntRange(1, MAX_TIMES),
    default=1,
    show_default=True,
    help="The number of plays.",
)
@click.option(
    "--stop",
    "ending",
    type=click.Choice(["clean", "crash"]),
    default="clean",
    show_default=True,
    help="The end of the playback, as secure stop reports it.",
)
@click.option("--url", help="Acquire a licence here, unless a usable one is stored.")
@server_options
@custom_data_option
@account_option
@content_options
@json_option
def play(  # noqa: PLR0913 -- one parameter for each option
    folder: Path,
    *,
    kid: "Kid",
    times: int,
    ending: str,
    url: str | None,
    custom_data: str | None,
    account_id: "AccountId | None",
    form: Form,
    **content: Any,  # noqa: ANN401 -- the fields of Content
) -> None:
    """Play content with a stored or new licence.

    Each play is counted if the licence has a metering id, for `meter`, and is a session if it has
    secure stop, for `stop`. The content itself is not needed.
    """
    session = open_session(folder)
    membership = Membership(session.domains, account_id)
    stored = _stored(session, kid, must=url is None)
    wanted = Wanted(Content(**content).header_for(kid), custom_data)
    if stored is not None and url is not None:
        click.echo("a stored licence is played; the server of --url is not asked", err=True)
    if stored is not None:
        license_, custom_data = stored, None
    else:
        license_, custom_data = _acquired(session, kid, url or "", wanted, membership)
    playback = start(license_, session.journal, now=session.now, rng=system_random, times=times)
    if ending == "clean":
        stop_cleanly(playback.sessions, session.journal, now())
    if form == "json":
        notes = {"custom_data": custom_data, "warnings": reply_notes().warnings}
        print_json({**_facts(playback, ending, is_stored=stored is not None), **notes})
    else:
        _print(playback, ending)


def _stored(session: DeviceSession, kid: "Kid", *, must: bool) -> "OpenedLicense | None":
    """Return the best stored licence; None if none is usable and one may be acquired instead."""
    if must or session.licenses.find(kid):
        try:
            return session.stored_licenses.open(kid)
        except InvalidMessage:
            if must:
                raise
    return None


def _acquired(
    session: DeviceSession, kid: "Kid", url: str, wanted: Wanted, membership: Membership
) -> "tuple[OpenedLicense, str | None]":
    """Return the licence for a KID from a server, and the reply's CustomData."""
    acquired, _ = obtain(session, url, wanted, membership)
    license_ = next((each for each in acquired.licenses if each.kid == kid), None)
    if license_ is None:
        raise InvalidMessage(f"the reply has no licence for KID {kid.text}")
    refuse_unusable(kid, license_.terms, session.now, None)
    return license_, acquired.response.custom_data


def _facts(playback: Playback, ending: str, *, is_stored: bool) -> dict[str, object]:
    terms = playback.license.terms
    return {
        "kid": playback.license.kid.text,
        "license": "kept" if is_stored else "acquired",
        "times": playback.times,
        "metering_id": None if terms.metering is None else terms.metering.text,
        "secure_stop": None if terms.secure_stop is None else terms.secure_stop.text,
        "sessions": [session.text for session in playback.sessions],
        "stopped": ending == "clean",
    }


def _print(playback: Playback, ending: str) -> None:
    terms = playback.license.terms
    click.echo(f"KID {playback.license.kid.text}: {counted(playback.times, 'play')}")
    if terms.metering is not None:
        click.echo(f"counted for metering id {terms.metering.text}")
    if terms.secure_stop is not None:
        stopped = "stopped cleanly" if ending == "clean" else "not stopped"
        sessions = counted(len(playback.sessions), "session")
        click.echo(f"{sessions}, {stopped}, for metering id {terms.secure_stop.text}")
