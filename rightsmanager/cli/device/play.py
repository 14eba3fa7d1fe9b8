"""`rightsmanager device play`: what a player does with a licence, but for showing the content."""

import json
import time
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.device.acquire import obtain
from rightsmanager.cli.device.content import Content, content_options
from rightsmanager.cli.device.player import (
    DeviceSession,
    account_option,
    counted,
    device_option,
    player_of,
)
from rightsmanager.cli.options import KidParameter, json_option
from rightsmanager.crypto.random import system_random
from rightsmanager.device.acquire import Wanted
from rightsmanager.device.membership import Membership
from rightsmanager.device.opening import OpenedLicense
from rightsmanager.device.playing import MAX_TIMES, Playback, start
from rightsmanager.device.playing import stop as stop_cleanly
from rightsmanager.device.terms import refuse_unusable
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import AccountId, Kid


@click.command()
@device_option
@click.argument("kid", type=KidParameter())
@click.option(
    "--times", type=click.IntRange(1, MAX_TIMES), default=1, show_default=True, help="How often."
)
@click.option(
    "--stop",
    "ending",
    type=click.Choice(["clean", "crash"]),
    default="clean",
    show_default=True,
    help="How playback ends, as secure stop will report it.",
)
@click.option(
    "--url", help="Where to acquire a licence, if the device keeps none that may be used."
)
@click.option("--custom-data", help="CustomData of the challenge.")
@account_option
@content_options
@json_option
def play(  # noqa: PLR0913 -- one parameter for each option
    folder: Path,
    *,
    kid: Kid,
    times: int,
    ending: str,
    url: str | None,
    custom_data: str | None,
    account_id: AccountId | None,
    as_json: bool,
    **content: Any,  # noqa: ANN401 -- the fields of Content
) -> None:
    """Play the content of KID with a licence that grants the right to.

    Each play is counted where the licence has a metering id, for `meter`, and is a session where
    it has secure stop, for `stop`. The content itself is not needed.
    """
    player = player_of(folder)
    membership = Membership(player.domains, account_id)
    kept = _kept(player, kid, must=url is None)
    wanted = Wanted(Content(**content).header_for(kid), custom_data)
    license_ = kept or _acquired(player, kid, url or "", wanted, membership)
    playback = start(license_, player.journal, now=player.now, rng=system_random, times=times)
    if ending == "clean":
        stop_cleanly(playback.sessions, player.journal, int(time.time()))
    if as_json:
        click.echo(json.dumps(_facts(playback, ending, is_kept=kept is not None), indent=2))
    else:
        _print(playback, ending)


def _kept(player: DeviceSession, kid: Kid, *, must: bool) -> OpenedLicense | None:
    """Return the best licence that the device keeps, None where it may be acquired instead."""
    if must or player.licenses.find(kid):
        try:
            return player.shelf.open(kid)
        except InvalidMessage:
            if must:
                raise
    return None


def _acquired(
    player: DeviceSession, kid: Kid, url: str, wanted: Wanted, membership: Membership
) -> OpenedLicense:
    acquired, _ = obtain(player, url, wanted, membership)
    license_ = next((each for each in acquired.licenses if each.kid == kid), None)
    if license_ is None:
        raise InvalidMessage(f"the reply has no licence for KID {kid.text}")
    refuse_unusable(kid, license_.terms, player.now, None)
    return license_


def _facts(playback: Playback, ending: str, *, is_kept: bool) -> dict[str, Any]:
    terms = playback.license.terms
    return {
        "kid": playback.license.kid.text,
        "license": "kept" if is_kept else "acquired",
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
