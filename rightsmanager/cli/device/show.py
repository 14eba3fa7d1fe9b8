"""`rightsmanager device show`: the identity of a device and its pending reports."""

from pathlib import Path

import click

from rightsmanager.cli.device.session import device_option, open_session
from rightsmanager.cli.printing import Form, json_option, print_json, print_table
from rightsmanager.device.deletion import DeletionStore
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.sessions import SessionStore
from rightsmanager.device.usage import MeteringStore


@click.command()
@device_option
@json_option
def show(folder: Path, *, form: Form) -> None:
    """Show a device's id and its pending reports."""
    facts = _facts(open_session(folder))
    if form == "json":
        print_json(facts)
        return
    print_table(
        ("fact", "value"), [(name.replace("_", " "), value) for name, value in facts.items()]
    )


def _facts(session: DeviceSession) -> dict[str, object]:
    leaf = session.opening.device.chain.leaf
    made = leaf.manufacturer
    sessions = SessionStore(session.journal)
    deletions = DeletionStore(session.journal, session.licenses).find_all()
    return {
        "device": session.opening.device.id,
        "security_level": leaf.security_level,
        "manufacturer": None if made is None else made.name,
        "model_name": None if made is None else made.model_name,
        "model_number": None if made is None else made.model_number,
        "features": [getattr(each, "name", str(each)) for each in leaf.features],
        "licenses": len(session.licenses.find_all()),
        "domains": [domain.account_id.text for domain in session.domains.find_all()],
        "plays_to_report": MeteringStore(session.journal).total(),
        "sessions_to_report": sum(len(sessions.find(mid)) for mid in sessions.mids()),
        "deletions_to_report": sum(len(deletion.kids) for deletion in deletions),
    }
