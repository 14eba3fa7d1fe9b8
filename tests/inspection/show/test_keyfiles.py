"""The files of a data folder are recognised, and no private key is shown."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.pem import build_private_key
from rightsmanager.inspection import Context, Description, as_json, describe
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.loading import load_list_signer, read_public_key
from rightsmanager.protocol.formats.revocation import LISTS, build_list
from rightsmanager.protocol.wire import fingerprint

NOW = 1790000000
KEY = PrivateKey(bytes(31) + b"\7")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keyfiles")
    made = CliRunner().invoke(rightsmanager, ["init", "--seed", "keyfiles", "--data", str(folder)])
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="module")
def revoked(data: Path) -> bytes:
    """A list with one digest, signed by the data folder's signer."""
    signer = load_list_signer(KeyFiles(data, None))
    return build_list(LISTS["device"], 3, [bytes(32)], signer.chain, signer.key)


@pytest.mark.parametrize("name", ["root.pub", "wmrmserver.pub"])
def test_a_public_key_is_shown_with_its_fingerprint(data: Path, name: str, bare: Context) -> None:
    point = (data / "public" / name).read_bytes()
    found = describe(point, bare)
    assert found.name == "P-256 public key"
    assert str(found.meaning).startswith(fingerprint(point))


def test_a_trust_anchor_is_named(find: Callable[[Description, str], Description]) -> None:
    context = Context(now=0, backend=choose_backend("portable"), trust_anchors=(KEY.public,))
    assert find(describe(KEY.public.raw, context), "is a trust anchor").value is True
    other = PrivateKey(bytes(31) + b"\5").public.raw
    assert find(describe(other, context), "is a trust anchor").value is False


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_private_key_is_shown_without_its_bytes(passphrase: bytes | None, bare: Context) -> None:
    pem = build_private_key(KEY, passphrase)
    found = describe(pem, bare)
    assert found.name == "private key"
    shown = str(as_json(found))
    assert KEY.raw.hex() not in shown
    assert not any(line in shown for line in pem.decode().splitlines()[1:-1])
    assert (fingerprint(KEY.public.raw) in shown) == (passphrase is None)


def test_a_damaged_private_key_fails_its_check(bare: Context) -> None:
    found = describe(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", bare)
    assert [check.text for check in found.checks] == ["private key file: it is damaged"]


def test_a_revocation_list_is_shown_with_its_entries(
    data: Path, revoked: bytes, find: Callable[[Description, str], Description]
) -> None:
    root = read_public_key(data / "public" / "root.pub")
    context = Context(now=NOW, backend=choose_backend("portable"), trust_anchors=(root,))
    found = describe(revoked, context)
    assert str(found.meaning).startswith("device; raw, ")
    assert find(found, "version").value == 3
    assert find(found, "revoked certificate").value == bytes(32).hex()
    assert [check.outcome for check in found.checks] == ["ok", "ok"]


def test_a_changed_revocation_list_fails_its_signature(data: Path, revoked: bytes) -> None:
    root = read_public_key(data / "public" / "root.pub")
    context = Context(now=NOW, backend=choose_backend("portable"), trust_anchors=(root,))
    changed = describe(revoked[:-1] + bytes([revoked[-1] ^ 1]), context)
    assert [check.outcome for check in changed.checks] == ["ok", "failed"]


def test_a_cut_revocation_list_fails_its_form(revoked: bytes, bare: Context) -> None:
    for length in range(4, len(revoked)):
        assert describe(revoked[:length], bare).failed
