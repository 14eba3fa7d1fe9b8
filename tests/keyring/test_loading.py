"""`load` reads a whole keyring and names the file at fault."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from rightsmanager.crypto import pem
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InternalError
from rightsmanager.keyring import Keyring, KeyringSources, create, load, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import IDENTITIES

NONE = KeyringSources()


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    made = KeyFiles(tmp_path / "data", None)
    create(made, rng_for("loading"))
    return made


@pytest.fixture
def key() -> PrivateKey:
    return PrivateKey.generate(seeded_random(b"another"))


def test_load_returns_the_created_identities(files: KeyFiles) -> None:
    keyring = load(files, NONE)
    assert keyring.server_keys == (files.find_key("wmrmserver"),)
    assert keyring.signing_key == files.find_key("license-signer")
    assert keyring.signing_chain == files.find_chain("license-signer")
    root = files.find_key("root")
    assert root is not None
    assert keyring.trust_anchors == (root.public,)
    assert len(keyring.storage_key) == 32


def test_the_public_files_are_those_of_the_folder(
    files: KeyFiles, key: PrivateKey, tmp_path: Path
) -> None:
    more = tmp_path / "their.pub"
    more.write_bytes(key.public.raw)
    keyring = load(files, KeyringSources((more,)))
    folder = {file.name: file.read_bytes() for file in files.public.iterdir()}
    assert keyring.public_files == folder


def test_repr_shows_no_secret(files: KeyFiles) -> None:
    keyring = load(files, NONE)
    shown = repr(keyring)
    for secret in (*keyring.server_keys, keyring.signing_key):
        assert secret.raw.hex() not in shown
        assert repr(secret.raw) not in shown
    assert repr(keyring.storage_key) not in shown
    assert {field.name for field in fields(Keyring) if not field.repr} >= {"storage_key"}
    assert "swordfish" not in repr(KeyFiles(files.data, b"swordfish"))


def test_sources_follow_the_own_keys(files: KeyFiles, key: PrivateKey, tmp_path: Path) -> None:
    server_key, root = tmp_path / "old.key", tmp_path / "their.pub"
    server_key.write_bytes(pem.build_private_key(key))
    root.write_bytes(key.public.raw)
    keyring = load(files, KeyringSources((root,), (server_key,)))
    own = load(files, NONE)
    assert keyring.server_keys == (*own.server_keys, key)
    assert keyring.trust_anchors == (*own.trust_anchors, key.public)
    assert keyring.signing_chain == own.signing_chain


@pytest.mark.parametrize(
    "name",
    [
        *("keyring/wmrmserver.key", "keyring/license-signer.key", "keyring/storage.key"),
        *("keyring/license-signer.chain", "public/root.pub"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"\0" * 64, b"-----BEGIN PRIVATE KEY-----"])
def test_a_file_that_is_missing_or_damaged_is_named(
    files: KeyFiles, name: str, content: bytes | None
) -> None:
    file = files.data / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InternalError, match=file.name.replace(".", r"\.")):
        load(files, NONE)


SOURCES: dict[str, Callable[[Path], KeyringSources]] = {
    "trust_anchors": lambda file: KeyringSources(trust_anchors=(file,)),
    "server_keys": lambda file: KeyringSources(server_keys=(file,)),
    "signing_key": lambda file: KeyringSources(signing_key=file, signing_chain=file),
}


@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("content", [None, b"", b"\xff" * 63])
def test_a_source_that_is_missing_or_damaged_is_named(
    files: KeyFiles,
    tmp_path: Path,
    sources: Callable[[Path], KeyringSources],
    content: bytes | None,
) -> None:
    file = tmp_path / "source"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InternalError, match=str(file)):
        load(files, sources(file))


def test_a_signer_is_a_key_and_its_chain(files: KeyFiles, key: PrivateKey, tmp_path: Path) -> None:
    chain, other = files.private / "license-signer.chain", tmp_path / "other.key"
    other.write_bytes(pem.build_private_key(key))
    for sources in (KeyringSources(signing_chain=chain), KeyringSources(signing_key=other)):
        with pytest.raises(InternalError, match="only one is set, expected both"):
            load(files, sources)
    with pytest.raises(InternalError, match="SIGN_RESPONSE"):
        load(files, KeyringSources(signing_key=other, signing_chain=chain))
    metering = files.private / "metering"
    with pytest.raises(InternalError, match="SIGN_RESPONSE"):
        load(
            files,
            KeyringSources(
                signing_key=metering.with_suffix(".key"),
                signing_chain=metering.with_suffix(".chain"),
            ),
        )


class TestPassphrase:
    @pytest.fixture
    def locked(self, tmp_path: Path) -> KeyFiles:
        files = KeyFiles(tmp_path / "locked", b"swordfish")
        create(files, rng_for(None))
        return files

    def test_every_private_key_is_encrypted(self, locked: KeyFiles) -> None:
        keys = sorted(locked.private.glob("*.key"))
        assert len(keys) == len(IDENTITIES)
        for key in keys:
            assert key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")

    def test_the_passphrase_opens_them(self, locked: KeyFiles) -> None:
        keyring = load(locked, NONE)
        assert load(KeyFiles(locked.data, b"swordfish"), NONE) == keyring

    @pytest.mark.parametrize(
        ("passphrase", "message"), [(None, "no passphrase is given"), (b"Swordfish", "is wrong")]
    )
    def test_without_it_they_stay_encrypted_and_nothing_is_made(
        self, locked: KeyFiles, passphrase: bytes | None, message: str
    ) -> None:
        files = KeyFiles(locked.data, passphrase)
        before = sorted(locked.data.rglob("*"))
        for attempt in (lambda: load(files, NONE), lambda: create(files, rng_for(None))):
            with pytest.raises(InternalError, match=rf"\.key: .*{message}"):
                attempt()
        assert sorted(locked.data.rglob("*")) == before

    def test_a_passphrase_for_keys_without_one_is_refused(self, files: KeyFiles) -> None:
        with pytest.raises(InternalError, match="it is not encrypted"):
            load(KeyFiles(files.data, b"swordfish"), NONE)

    def test_a_source_may_be_without_it(self, locked: KeyFiles, files: KeyFiles) -> None:
        plain = files.private / "wmrmserver.key"
        keyring = load(locked, KeyringSources(server_keys=(plain,)))
        assert keyring.server_keys[1] == files.find_key("wmrmserver")
