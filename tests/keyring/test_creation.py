"""`create` makes each identity once."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.errors import InternalError
from rightsmanager.files import keep_file
from rightsmanager.keyring import KeyringSources, certify_device, create, load, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import IDENTITIES
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    ChainVerifier,
    KeyUsage,
    parse_chain,
)

NOW = 1790000000
CERTIFIED = [identity.name for identity in IDENTITIES if identity.certified]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    made = KeyFiles(tmp_path / "data", None)
    create(made, rng_for("creation"))
    return made


def test_the_folders_hold_the_identities_of_the_table_and_nothing_else(files: KeyFiles) -> None:
    assert set(contents(files.data)) == {
        *(f"keyring/{identity.name}.key" for identity in IDENTITIES),
        *(f"keyring/{name}.chain" for name in CERTIFIED),
        "public/wmrmserver.pub",
        "public/root.pub",
        "public/metering.bin",
    }


def test_only_their_owner_can_read_the_files(files: KeyFiles) -> None:
    for path in (files.data, *files.data.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_the_public_files_are_two_keys_and_a_metering_chain(files: KeyFiles) -> None:
    for name in ("root", "wmrmserver"):
        raw = (files.public / f"{name}.pub").read_bytes()
        key = files.find_key(name)
        assert key is not None
        assert (len(raw), PublicKey(raw)) == (64, key.public)
    chain = parse_chain((files.public / "metering.bin").read_bytes())
    assert chain.leaf.type == CertificateType.METERING
    assert chain.leaf.metering is not None
    assert chain == files.find_chain("metering")


@pytest.mark.parametrize("name", CERTIFIED)
def test_every_chain_verifies_under_the_root(files: KeyFiles, name: str) -> None:
    root = PublicKey((files.public / "root.pub").read_bytes())
    key, chain = files.find_key(name), files.find_chain(name)
    assert key is not None
    assert chain is not None
    ChainVerifier((root,)).verify(chain, NOW)
    assert chain.leaf.keys[0].public == key.public


def test_the_chain_of_a_device_verifies(files: KeyFiles) -> None:
    root = PublicKey((files.public / "root.pub").read_bytes())
    made = certify_device(files, rng_for("device")(""), security_level=3000)
    ChainVerifier((root,)).verify(made.chain, NOW)
    leaf = made.chain.leaf
    assert leaf.key_with_usage(KeyUsage.SIGN) == made.signing_key.public
    assert leaf.key_with_usage(KeyUsage.ENCRYPT_KEY) == made.encryption_key.public


def test_create_changes_nothing_the_second_time(files: KeyFiles) -> None:
    before = contents(files.data)
    create(files, rng_for("another"))
    create(files, rng_for(None))
    assert contents(files.data) == before


@pytest.mark.parametrize("name", ["keyring/wmrmserver.key", "public/root.pub", "keyring/root.key"])
def test_an_existing_file_is_never_overwritten(files: KeyFiles, name: str) -> None:
    (files.data / name).write_bytes(b"mine")
    if name.endswith(".key"):
        with pytest.raises(InternalError, match=name):
            create(files, rng_for(None))
    else:
        create(files, rng_for(None))
    assert (files.data / name).read_bytes() == b"mine"


def test_only_missing_files_are_made(files: KeyFiles) -> None:
    before = contents(files.data)
    missing = {
        "keyring/storage.key",
        "keyring/license-signer.chain",
        "public/wmrmserver.pub",
        "public/metering.bin",
    }
    for name in missing:
        (files.data / name).unlink()
    create(files, rng_for("another"))
    after = contents(files.data)
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} == {
        "keyring/storage.key",
        "keyring/license-signer.chain",
    }


def test_a_seed_gives_the_same_files_byte_for_byte(files: KeyFiles, tmp_path: Path) -> None:
    twin, other = KeyFiles(tmp_path / "twin", None), KeyFiles(tmp_path / "other", None)
    create(twin, rng_for("creation"))
    create(other, rng_for("creation2"))
    assert contents(twin.data) == contents(files.data)
    same = contents(other.data).items() & contents(files.data).items()
    assert same == set()


def test_without_a_seed_every_keyring_is_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        create(KeyFiles(tmp_path / name, None), rng_for(None))
    assert not contents(tmp_path / "a").items() & contents(tmp_path / "b").items()


def test_no_two_identities_share_a_key(files: KeyFiles) -> None:
    keys = {key.raw for identity in IDENTITIES if (key := files.find_key(identity.name))}
    assert len(keys) == len(IDENTITIES)


def _create_at_once(data: Path, barrier: "multiprocessing.synchronize.Barrier") -> None:
    files = KeyFiles(data, None)
    barrier.wait(60)
    create(files, rng_for(None))
    load(files, KeyringSources())


def test_processes_that_create_at_the_same_time_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    data, barrier = tmp_path / "data", context.Barrier(2)
    both = [context.Process(target=_create_at_once, args=(data, barrier)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    files = KeyFiles(data, None)
    keyring = load(files, KeyringSources())
    ChainVerifier(keyring.trust_anchors).verify(keyring.signing_chain, NOW)
    for name in CERTIFIED:
        key, chain = files.find_key(name), files.find_chain(name)
        assert key is not None
        assert chain is not None
        assert chain.leaf.keys[0].public == key.public
    assert [file.name for file in data.rglob(".*")] == []


def test_the_second_writer_gets_the_bytes_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file"

    def late() -> bytes:
        assert keep_file(file, lambda: b"first") == b"first"
        return b"second"

    assert keep_file(file, late) == b"first"
    assert keep_file(file, lambda: b"third") == b"first"
    assert list(file.parent.iterdir()) == [file]


def test_a_root_that_is_kept_elsewhere_is_not_replaced(files: KeyFiles) -> None:
    before = contents(files.data)
    (files.private / "root.key").unlink()
    create(files, rng_for(None))
    del before["keyring/root.key"]
    assert contents(files.data) == before
    keyring = load(files, KeyringSources())
    ChainVerifier(keyring.trust_anchors).verify(keyring.signing_chain, NOW)
    certify_device(files, rng_for("device")(""))


def test_a_missing_issuer_is_named_if_the_root_is_kept_elsewhere(files: KeyFiles) -> None:
    (files.private / "root.key").unlink()
    (files.private / "device-issuer.chain").unlink()
    with pytest.raises(InternalError, match=r"device-issuer has no certificate, .*root\.key"):
        create(files, rng_for(None))
    assert not (files.private / "root.key").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InternalError, match=str(tmp_path / "data")):
        create(KeyFiles(tmp_path / "data", None), rng_for(None))
