"""`rightsmanager content`: content keys that the operator brings, in place of those of the seed."""

import binascii
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from rightsmanager.app import content_keys, open_keyring
from rightsmanager.cli.options import (
    KidParameter,
    data_option,
    json_option,
    made_store_of,
    settings_of,
)
from rightsmanager.cli.printing import print_table
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.protocol.wire import Kid, decode_base64
from rightsmanager.services.content import CONTENT_KEY_LENGTH, KEY_TYPES
from rightsmanager.settings import passphrase

_HEX_LENGTH = 2 * CONTENT_KEY_LENGTH


@click.group()
def content() -> None:
    """Add, list and remove content keys."""


@content.command()
@data_option
@click.option("--type", "key_type", type=click.Choice(list(KEY_TYPES)), default="aesctr")
@click.argument("kid", type=KidParameter())
@click.argument("key", type=str)
def add(data: Path, key_type: str, kid: Kid, key: str) -> None:
    """Store the content KEY (32 hexadecimal digits or base64; - reads it) of a KID."""
    settings = settings_of(data)
    keys = content_keys(settings, open_keyring(settings, passphrase()))
    clear = _content_key(sys.stdin.readline() if key == "-" else key)
    sealed = keys.seal(kid, clear, key_type, int(time.time()), system_random)
    with made_store_of(settings).transaction() as transaction:
        if not transaction.record_content_key(sealed):
            raise ServiceSpecific(f"KID {kid.text} has a content key already; remove it first")
    click.echo(f"{kid.text} added")


@content.command(name="list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List the KIDs whose content keys are stored; the keys stay where they are."""
    with made_store_of(settings_of(data)).transaction() as transaction:
        stored = transaction.find_content_keys()
    facts = [
        {
            "kid": key.kid.text,
            "kid_base64": key.kid.base64,
            "type": key.key_type,
            "added_at": datetime.fromtimestamp(key.added_at, UTC).isoformat(),
        }
        for key in stored
    ]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    print_table(("KID", "base64", "type", "added"), [list(fact.values()) for fact in facts])


@content.command()
@data_option
@click.argument("kid", type=KidParameter())
def remove(data: Path, kid: Kid) -> None:
    """Remove the stored content key of a KID; the seed's takes its place."""
    with made_store_of(settings_of(data)).transaction() as transaction:
        if not transaction.remove_content_key(kid):
            raise ServiceSpecific(f"KID {kid.text} has no stored content key")
    click.echo(f"{kid.text} removed")


def _content_key(text: str) -> bytes:
    text = text.strip()
    if len(text) == _HEX_LENGTH:
        try:
            return binascii.unhexlify(text)
        except ValueError:
            raise InternalError("the content key is not 32 hexadecimal digits") from None
    return decode_base64(text, "the content key", CONTENT_KEY_LENGTH)
