"""The checks of readiness, each well and failed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.keyring import Keyring, create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.loading import KeyringSources, load
from rightsmanager.monitoring.checks import (
    MAX_SET_BACK_SECONDS,
    clock_check,
    database_check,
    disk_check,
    keyring_check,
)
from rightsmanager.monitoring.health import NotReady
from rightsmanager.store.schema import newest_revision, upgrade
from tests.databases import execute

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_790_000_000
MIB = 1 << 20


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    files = KeyFiles(tmp_path_factory.mktemp("keyring"), None)
    create(files, rng_for("checks"))
    return load(files, KeyringSources())


@dataclass(frozen=True)
class FileSystem:
    """A file system with some free blocks of 4 KiB out of 1 GiB."""

    f_bavail: int
    f_frsize: int = 4096
    f_blocks: int = 262_144
    f_files: int = 1000
    f_favail: int = 500


def disk(found: FileSystem, min_free_bytes: int = 64 * MIB) -> str:
    return disk_check(Path("data"), min_free_bytes, lambda _: found)()


def test_a_database_at_the_newest_revision_is_well(database_url: str) -> None:
    assert database_check(database_url)() == f"reachable, at revision {newest_revision()}"


def test_a_database_at_another_revision_is_not(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999_later'")
    with pytest.raises(NotReady, match="revision 9999_later, which this version does not know"):
        database_check(database_url)()
    execute(database_url, "UPDATE alembic_version SET version_num = :id", id=newest_revision())


def test_a_database_without_a_revision_is_not(empty_database_url: str) -> None:
    if empty_database_url.startswith("sqlite"):
        Path(empty_database_url.removeprefix("sqlite:///")).touch()
    with pytest.raises(NotReady, match=r"no revision, expected .* rightsmanager database upgrade"):
        database_check(empty_database_url)()


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "gone.db"
    with pytest.raises(NotReady, match="file is missing") as caught:
        database_check(f"sqlite:///{file}")()
    assert caught.value.detail == str(file)
    assert not file.exists()


def test_a_file_that_is_missing_for_a_while_or_replaced_is_not_well(tmp_path: Path) -> None:
    file, other = tmp_path / "rightsmanager.db", tmp_path / "other.db"
    for each in (file, other):
        upgrade(f"sqlite:///{each}")
    check = database_check(f"sqlite:///{file}")
    assert check().startswith("reachable")
    file.rename(tmp_path / "aside")
    with pytest.raises(NotReady, match="is missing"):
        check()
    other.rename(file)
    with pytest.raises(NotReady, match="was replaced: restart the server"):
        check()
    (tmp_path / "aside").rename(file)
    assert check().startswith("reachable")


def test_a_file_of_another_kind_is_not_well(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"some text" * 1000)
    with pytest.raises(NotReady, match=r"^the database cannot be reached$"):
        database_check(f"sqlite:///{tmp_path / 'text.db'}")()


def test_a_server_that_is_away_is_not_named_to_callers() -> None:
    check = database_check("postgresql://user:secret@127.0.0.1:1/name")
    with pytest.raises(NotReady, match=r"^the database cannot be reached$") as caught:
        check()
    assert "127.0.0.1" in caught.value.detail
    assert "secret" not in caught.value.detail


def test_a_keyring_signs(keyring: Keyring) -> None:
    assert keyring_check(keyring)() == "open, signs replies"


def test_a_keyring_with_the_key_of_another_chain_does_not(keyring: Keyring) -> None:
    other = PrivateKey((123).to_bytes(32))
    with pytest.raises(NotReady, match="does not sign"):
        keyring_check(replace(keyring, signing_key=other))()
    chain = keyring.metering.certificate.chain
    with pytest.raises(NotReady, match="does not sign") as caught:
        keyring_check(replace(keyring, signing_chain=chain))()
    assert caught.value.detail == "the chain has no key for responses"


def test_a_disk_with_room_is_well(tmp_path: Path) -> None:
    assert disk(FileSystem(65_536)) == "256 MiB free (25 %)"
    assert disk(FileSystem(65_536, f_files=0, f_favail=0)) == "256 MiB free (25 %)"
    assert "MiB free" in disk_check(tmp_path, 0)()


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (FileSystem(16_383), r"^63 MiB free \(6 %\), expected at least 64 MiB$"),
        (FileSystem(0, f_blocks=0), "^0 MiB free"),
        (FileSystem(65_536, f_favail=0), "no more files can be made$"),
    ],
    ids=["bytes", "nothing", "files"],
)
def test_a_full_disk_is_not(found: FileSystem, text: str) -> None:
    with pytest.raises(NotReady, match=text):
        disk(found)


def test_a_data_folder_that_is_gone_is_not_well(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="cannot be read") as caught:
        disk_check(tmp_path / "gone", 0)()
    assert caught.value.detail == "No such file or directory"


@pytest.fixture
def clock(keyring: Keyring, tmp_path: Path) -> Callable[[int], str]:
    """Return a function that checks a time against a file of NOW and one that is missing."""
    file = tmp_path / "root.pub"
    file.touch()
    os.utime(file, (NOW, NOW))

    def check(now: int) -> str:
        return clock_check(lambda: now, keyring, [file, tmp_path / "missing"])()

    return check


def test_a_clock_after_the_newest_file_is_well(clock: Callable[[int], str]) -> None:
    assert clock(NOW) == "2026-09-21T14:13:20Z"
    assert clock(NOW - MAX_SET_BACK_SECONDS) == "2026-09-21T14:08:20Z"


def test_a_clock_that_was_set_back_is_not(clock: Callable[[int], str]) -> None:
    with pytest.raises(NotReady, match="at least 2026-09-21T14:13:20Z") as caught:
        clock(NOW - MAX_SET_BACK_SECONDS - 1)
    assert caught.value.detail == "root.pub"


def test_a_clock_after_the_end_of_a_certificate_is_not(
    keyring: Keyring, clock: Callable[[int], str]
) -> None:
    chains = (keyring.signing_chain, keyring.metering.certificate.chain)
    end = min(each.expiry for chain in chains for each in chain.certificates)
    assert clock(end)
    with pytest.raises(NotReady, match="certificate expired at"):
        clock(end + 1)
    without_issuer = replace(keyring, domain_issuer=None)
    assert clock_check(lambda: NOW, without_issuer, [Path("missing")])()
