"""`rightsmanager device show`: who a device is, and what it has to tell its server."""

import json
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.device.player import DeviceSession, device_option, player_of
from rightsmanager.cli.options import json_option
from rightsmanager.cli.printing import print_table
from rightsmanager.device.deletion import DeletionStore
from rightsmanager.device.sessions import SessionStore
from rightsmanager.device.usage import MeteringStore


@click.command()
@device_option
@json_option
def show(folder: Path, *, as_json: bool) -> None:
    """Show how servers name the device, what it keeps, and what it has to tell."""
    facts = _facts(player_of(folder))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    rows = [(name.replace("_", " "), _text(value)) for name, value in facts.items()]
    print_table(("fact", "value"), rows)


def _facts(player: DeviceSession) -> dict[str, Any]:
    leaf = player.opening.device.chain.leaf
    sessions = SessionStore(player.journal)
    deletions = DeletionStore(player.journal, player.licenses).find_all()
    return {
        "device": player.opening.device.id,
        "security_level": leaf.security_level,
        "features": [getattr(each, "name", str(each)) for each in leaf.features],
        "licenses": len(player.licenses.find_all()),
        "domains": [domain.account_id.text for domain in player.domains.find_all()],
        "plays_to_report": MeteringStore(player.journal).total(),
        "sessions_to_report": sum(len(sessions.find(mid)) for mid in sessions.mids()),
        "deletions_to_report": sum(len(deletion.kids) for deletion in deletions),
    }


def _text(value: Any) -> str:  # noqa: ANN401 -- any fact
    return ", ".join(value) or "-" if isinstance(value, list) else str(value)
