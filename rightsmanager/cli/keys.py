"""`rightsmanager init` makes the keyring, `rightsmanager keys` shows it."""

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.tree import Tree

from rightsmanager.cli.options import data_option, json_option, key_files, settings_of
from rightsmanager.cli.printing import print_tree
from rightsmanager.crypto.random import system_random
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import IDENTITIES, Identity
from rightsmanager.protocol.formats.bcert import Certificate
from rightsmanager.protocol.formats.fingerprints import fingerprint
from rightsmanager.protocol.wire import NEVER, encode_base64
from rightsmanager.store.schema import upgrade
from rightsmanager.web.tls import prepare_https


@click.command()
@data_option
@click.option("--seed", help="Make the same keys each time. For tests: whoever knows it has them.")
def init(data: Path, seed: str | None) -> None:
    """Make the test PKI and the database's tables; what is there is kept."""
    files = key_files(data)
    settings = settings_of(data)
    create(files, rng_for(seed), settings.effective_metering_url)
    prepare_https(settings, files, int(time.time()), system_random)
    upgrade(settings.effective_database_url)
    click.echo(f"The keyring is in {files.private}; what clients must know is in {files.public}.")


@click.command()
@data_option
@json_option
def keys(data: Path, *, as_json: bool) -> None:
    """Show the keyring: who there is, under whom, and the fingerprints."""
    files = key_files(data)
    facts = [fact for identity in IDENTITIES if (fact := _facts(files, identity))]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        print_tree(_tree(files, facts))


def _facts(files: KeyFiles, identity: Identity) -> dict[str, Any] | None:
    key, chain = files.find_key(identity.name), files.find_chain(identity.name)
    if key is None and chain is None:
        return None
    public = key.public if key is not None else chain and chain.leaf.keys[0].public
    return {
        "name": identity.name,
        "issuer": identity.certified and identity.certified.issuer,
        "fingerprint": fingerprint(public.raw) if public else None,
        "private_key": key is not None,
        "certificate": None if chain is None else _certificate_facts(chain.leaf),
    }


def _certificate_facts(certificate: Certificate) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "type": certificate.type.name.lower(),
        "security_level": certificate.security_level,
        "usages": [
            usage.name.lower() if hasattr(usage, "name") else usage
            for key in certificate.keys
            for usage in key.usages
        ],
        "digest": encode_base64(certificate.digest),
        "expiry": None if certificate.expiry == NEVER else certificate.expiry,
    }
    if certificate.metering is not None:
        facts["metering_id"] = certificate.metering.metering_id.text
    return facts


def _tree(files: KeyFiles, facts: list[dict[str, Any]]) -> Tree:
    tree = Tree(str(files.private))
    branches: dict[str, Tree] = {}
    for fact in facts:
        parent = branches.get(fact["issuer"] or "", tree)
        branch = parent.add(f"[bold]{fact['name']}[/bold]  {fact['fingerprint']}")
        branches[fact["name"]] = branch
        if not fact["private_key"]:
            branch.add("its private key is not here")
        for name, value in (fact["certificate"] or {}).items():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            branch.add(f"{name.replace('_', ' ')}: {'never' if value is None else shown}")
    return tree
