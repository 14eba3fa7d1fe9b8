"""`rightsmanager show`: decodes licences, certificates, headers and messages and checks them."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text
from rich.tree import Tree

from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import INPUT
from rightsmanager.cli.printing import Form, json_option, print_json, print_tree, printable
from rightsmanager.crypto import p256
from rightsmanager.crypto.keyseed import TEST_KEY_SEED
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.device import load_device
from rightsmanager.device.domains import DomainStore
from rightsmanager.device.identity import ROOT_FILE
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import find_file
from rightsmanager.inspection import Check, Context, Description, Outcome, as_json, describe
from rightsmanager.keyring.identities import METERING, ROOT, WMRMSERVER
from rightsmanager.keyring.loading import read_key
from rightsmanager.protocol.wire import Kid, decode_base64

if TYPE_CHECKING:
    from rightsmanager.settings import Settings

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
@pass_operator
@click.option(
    "--device",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A device's folder, to open licences that are bound to it.",
)
@click.option("--keys", "show_keys", is_flag=True, help="Print the content keys of licences.")
@json_option
@click.argument("file", type=INPUT)
@click.pass_context
def show(  # noqa: PLR0913 -- one parameter for each option
    ctx: click.Context,
    operator: Operator,
    *,
    folder: Path | None,
    show_keys: bool,
    form: Form,
    file: bytes,
) -> None:
    """Decode and check a licence, challenge, header or chain.

    FILE (- for standard input) holds a licence, certificate chain, WRMHEADER, PlayReady Object,
    PSSH boxes, challenge, reply or key, in binary, hexadecimal or base64; or an MP4, manifest,
    playlist or key message with these. Exit status 0: every check passed, 1: one failed, 2: the
    format is not recognised.

    Example: rightsmanager header make KID | rightsmanager show -
    """
    operator.refuse_missing_given_data()
    try:
        description = describe(file, make_context(operator, folder, show_keys=show_keys))
    except InvalidMessage as refusal:
        click.echo(refusal.text, err=True)
        ctx.exit(NOT_RECOGNISED)
    if form == "json":
        print_json(as_json(description))
    else:
        print_tree(as_tree(description))
        click.echo(summary(description))
    ctx.exit(CHECKS_FAILED if description.failed else 0)


# --- rendering ------------------------------------------------------------------------------------


def as_tree(description: Description) -> Tree:
    """Return the description as a tree of rich."""
    tree = Tree(_label(description))
    _grow(tree, description)
    return tree


def summary(description: Description) -> str:
    """Return the number of checks by outcome."""
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


# --- context --------------------------------------------------------------------------------------


def make_context(
    operator: Operator, folder: Path | None = None, *, show_keys: bool = False
) -> Context:
    """Return all keys of the data folder and of a device's folder, to decode with."""
    device = None if folder is None else load_device(folder)
    return Context(
        now=now(),
        backend=choose_backend(),
        trust_anchors=tuple(_anchors(operator, folder)),
        server_keys=_server_keys(operator),
        device_keys=() if device is None else (device.encryption_key,),
        domain_keys=() if folder is None else _domain_keys(folder),
        device_level=None if device is None else device.chain.leaf.security_level,
        seeds=_seeds(operator.settings),
        is_stored=_is_stored(operator),
        show_keys=show_keys,
    )


def _domain_keys(folder: Path) -> tuple[p256.PrivateKey, ...]:
    try:
        return tuple(DomainStore(folder).private_keys().values())
    except InternalError as error:
        # Only licences of domains need these keys.
        click.echo(f"rightsmanager: {error.text}", err=True)
        return ()


def _is_stored(operator: Operator) -> Callable[[Kid], bool]:
    """Return a function that looks up whether the store has a key for a KID."""
    if not operator.has_store:
        return lambda _: False
    store = operator.open_store()

    def is_stored(kid: Kid) -> bool:
        try:
            with store.reading() as transaction:
                return transaction.content_keys.find(kid) is not None
        except InternalError:
            # The rest can be shown without the store.
            return False

    return is_stored


def _anchors(operator: Operator, folder: Path | None) -> Iterator[p256.PublicKey]:
    own = operator.files.public_file(ROOT.name)
    files = [own, *map(Path, operator.settings.keyring.trust_anchors)]
    if folder is not None:
        files.append(folder / ROOT_FILE)
    for file in files:
        point = find_file(file)
        if point is not None:
            yield p256.PublicKey(point)


def _server_keys(operator: Operator) -> tuple[p256.PrivateKey, ...]:
    files = operator.files
    try:
        own = [files.find_key(identity.name) for identity in (WMRMSERVER, METERING)]
        others = [
            read_key(Path(file), files.passphrase)
            for file in operator.settings.keyring.server_keys
            if Path(file).exists()
        ]
    except InternalError as error:
        # Only challenges need these keys.
        click.echo(f"rightsmanager: {error.text}", err=True)
        return ()
    return tuple(key for key in (*own, *others) if key is not None)


def _seeds(settings: "Settings") -> dict[str, bytes]:
    configured = decode_base64(settings.license.key_seed, "license.key_seed")
    own = {} if configured in {b"", TEST_KEY_SEED} else {"the configured key seed": configured}
    return {"the Test Key Seed": TEST_KEY_SEED} | own
