"""`rightsmanager show`: tells what a thing is, takes it apart and checks what can be checked."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import click
from rich.text import Text
from rich.tree import Tree

from rightsmanager.cli.options import (
    data_option,
    has_store,
    json_option,
    key_files,
    settings_of,
    store_of,
)
from rightsmanager.cli.printing import print_tree, printable
from rightsmanager.crypto import p256, pem
from rightsmanager.crypto.keyseed import TEST_KEY_SEED
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.device import load_device
from rightsmanager.device.domains import DomainStore
from rightsmanager.device.identity import ROOT_FILE
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import find_file
from rightsmanager.inspection import Check, Context, Description, Outcome, as_json, describe
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import METERING, ROOT, WMRMSERVER
from rightsmanager.protocol.wire import Kid, decode_base64
from rightsmanager.settings import Settings

MAX_BYTES: Final = 16 * 1024 * 1024
"""How much is read; messages have some ten thousand bytes."""
NOT_RECOGNISED: Final = 2
CHECKS_FAILED: Final = 1

_STYLES: Final = {
    Outcome.OK: "green",
    Outcome.FAILED: "bold red",
    Outcome.NOT_POSSIBLE: "yellow",
    Outcome.WARNING: "bold yellow",
}
_ALWAYS_COUNTED: Final = frozenset(Outcome) - {Outcome.WARNING}


@click.command()
@data_option
@click.option(
    "--device",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A device's folder: licences that are bound to it are opened.",
)
@click.option("--keys", "show_keys", is_flag=True, help="Print content keys that were opened.")
@json_option
@click.argument("file", type=click.File("rb"))
@click.pass_context
def show(  # noqa: PLR0913 -- one parameter for each option
    ctx: click.Context,
    *,
    data: Path,
    folder: Path | None,
    show_keys: bool,
    as_json: bool,
    file: BinaryIO,
) -> None:
    """Tell what FILE (- for standard input) is, and print it decoded with every check.

    FILE holds a licence, certificate chain, WRMHEADER, PlayReady Object, PSSH box, challenge or
    reply, as it is, in hexadecimal digits or in base64. The exit status is 0 if no check failed,
    1 if one did, 2 if FILE is none of these.
    """
    context = _context(data, folder, show_keys=show_keys)
    try:
        description = describe(_read(file), context)
    except InvalidMessage as refusal:
        click.echo(refusal.text, err=True)
        ctx.exit(NOT_RECOGNISED)
    if as_json:
        click.echo(json.dumps(_as_json(description), indent=2))
    else:
        print_tree(as_tree(description))
        click.echo(summary(description))
    ctx.exit(CHECKS_FAILED if description.failed else 0)


def _read(file: BinaryIO) -> bytes:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidMessage(f"it has more than {MAX_BYTES} bytes")
    return data


# --- rendering ------------------------------------------------------------------------------------

_as_json = as_json


def as_tree(description: Description) -> Tree:
    """Return the description as rich draws trees."""
    tree = Tree(_label(description))
    _grow(tree, description)
    return tree


def summary(description: Description) -> str:
    """Return how many checks there were, and what became of them."""
    counts = Counter(check.outcome for check in description.all_checks())
    counted = [each for each in Outcome if each in _ALWAYS_COUNTED or counts[each]]
    return "checks: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in counted)


def _grow(tree: Tree, description: Description) -> None:
    for check in description.checks:
        tree.add(_check_label(check))
    for child in description.children:
        _grow(tree.add(_label(child)), child)


def _label(description: Description) -> Text:
    label = Text(description.name, style="bold" if description.children else "")
    if description.value is not None:
        label.append(f": {printable(_spelled(description.value))}", style="not bold")
    if description.meaning is not None:
        label.append(f" ({printable(description.meaning)})", style="not bold")
    return label


def _spelled(value: str | int | tuple[int, ...]) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _check_label(check: Check) -> Text:
    style = _STYLES[check.outcome]
    return Text(f"check {check.name}: {check.outcome}: {printable(check.text)}", style=style)


# --- what is known beside the thing ---------------------------------------------------------------


def _context(data: Path, folder: Path | None, *, show_keys: bool) -> Context:
    settings, files = settings_of(data), key_files(data)
    device = None if folder is None else load_device(folder)
    return Context(
        now=int(time.time()),
        backend=choose_backend(),
        trust_anchors=tuple(_anchors(files, settings, folder)),
        server_keys=_server_keys(files, settings),
        device_keys=() if device is None else (device.encryption_key,),
        domain_keys=() if folder is None else _domain_keys(folder),
        device_level=None if device is None else device.chain.leaf.security_level,
        seeds=_seeds(settings),
        is_stored=_is_stored(settings),
        show_keys=show_keys,
    )


def _domain_keys(folder: Path) -> tuple[p256.PrivateKey, ...]:
    try:
        return tuple(DomainStore(folder).private_keys().values())
    except InternalError as error:
        # All but the licences of domains can be shown without these keys.
        click.echo(f"rightsmanager: {error.text}", err=True)
        return ()


def _is_stored(settings: Settings) -> Callable[[Kid], bool]:
    """Return what tells whether the data folder's store has a content key for a KID."""
    if not has_store(settings):
        return lambda _: False
    store = store_of(settings)

    def is_stored(kid: Kid) -> bool:
        try:
            with store.reading() as transaction:
                return transaction.content_keys.find(kid) is not None
        except InternalError:
            # Without the store, all else can be shown.
            return False

    return is_stored


def _anchors(files: KeyFiles, settings: Settings, folder: Path | None) -> Iterator[p256.PublicKey]:
    places = [files.public / f"{ROOT.name}.pub", *map(Path, settings.keyring.trust_anchors)]
    if folder is not None:
        places.append(folder / ROOT_FILE)
    for place in places:
        point = find_file(place)
        if point is not None:
            yield p256.PublicKey(point)


def _server_keys(files: KeyFiles, settings: Settings) -> tuple[p256.PrivateKey, ...]:
    try:
        own = [files.find_key(identity.name) for identity in (WMRMSERVER, METERING)]
        others = [
            pem.parse_private_key(text, files.passphrase if b"ENCRYPTED" in text else None)
            for place in settings.keyring.server_keys
            if (text := find_file(Path(place))) is not None
        ]
    except InternalError as error:
        # All but challenges can be shown without these keys.
        click.echo(f"rightsmanager: {error.text}", err=True)
        return ()
    return tuple(key for key in (*own, *others) if key is not None)


def _seeds(settings: Settings) -> dict[str, bytes]:
    configured = decode_base64(settings.license.key_seed, "license.key_seed")
    own = {} if configured in {b"", TEST_KEY_SEED} else {"the configured key seed": configured}
    return {"the Test Key Seed": TEST_KEY_SEED} | own
