"""A device takes only lists that are newer and signed as they should be, and keeps them."""

from dataclasses import replace
from pathlib import Path

import pytest

from rightsmanager.crypto.random import seeded_random
from rightsmanager.device.revocation import (
    NO_LISTS,
    HeldLists,
    load_lists,
    refuse_outdated,
    save_lists,
    take_lists,
)
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.keyring import ListSigner, create, load_list_signer
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.revocation import (
    LISTS,
    NAMES,
    REVOCATION_INFO,
    build_list,
    version_entries,
)
from rightsmanager.protocol.formats.xmr.objects import GlobalPolicy, RevocationInfoVersion
from rightsmanager.protocol.messages.response import RevocationList
from rightsmanager.protocol.wire import Guid

NOW = 1790000000
DEVICE_LIST, PC_LIST = LISTS["device"], LISTS["pc"]
DIGEST = b"\7" * 32


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    files = KeyFiles(tmp_path_factory.mktemp("data"), None)
    create(files, lambda name: seeded_random(name.encode()))
    return files


@pytest.fixture(scope="module")
def signer(files: KeyFiles) -> ListSigner:
    return load_list_signer(files)


@pytest.fixture(scope="module")
def verifier(files: KeyFiles) -> ChainVerifier:
    root = files.find_key("root")
    assert root is not None
    return ChainVerifier([root.public])


def given(signer: ListSigner, list_id: Guid, version: int) -> RevocationList:
    entries = version_entries([(DEVICE_LIST, version)]) if list_id == REVOCATION_INFO else [DIGEST]
    return RevocationList(list_id, build_list(list_id, version, entries, signer.chain, signer.key))


def license_wanting(version: int | None) -> xmr.License:
    objects = () if version is None else (RevocationInfoVersion(version),)
    return xmr.parse_license(xmr.build_signed(bytes(16), (GlobalPolicy(objects),), bytes(16)))


def test_without_lists_it_says_that_it_has_version_0_of_each() -> None:
    assert {info.list_id: info.version for info in NO_LISTS.infos()} == dict.fromkeys(NAMES, 0)
    assert NO_LISTS.digests == frozenset()


def test_it_takes_a_newer_list_in_place_of_the_older(
    signer: ListSigner, verifier: ChainVerifier
) -> None:
    first = take_lists(NO_LISTS, [given(signer, DEVICE_LIST, 3)], verifier, NOW)
    both = take_lists(
        first, [given(signer, DEVICE_LIST, 5), given(signer, PC_LIST, 1)], verifier, NOW
    )
    assert (first.version(DEVICE_LIST), both.version(DEVICE_LIST)) == (3, 5)
    assert {info.list_id: info.version for info in both.infos()} == {
        REVOCATION_INFO: 0,
        DEVICE_LIST: 5,
        PC_LIST: 1,
        LISTS["application"]: 0,
    }
    assert both.digests == {DIGEST}


@pytest.mark.parametrize("version", [2, 3])
def test_it_does_not_go_back(signer: ListSigner, verifier: ChainVerifier, version: int) -> None:
    held = take_lists(NO_LISTS, [given(signer, DEVICE_LIST, 3)], verifier, NOW)
    with pytest.raises(InvalidMessage, match=f"has version {version}, expected one above 3"):
        take_lists(held, [given(signer, DEVICE_LIST, version)], verifier, NOW)


def test_a_list_under_another_id_is_refused(signer: ListSigner, verifier: ChainVerifier) -> None:
    entry = replace(given(signer, DEVICE_LIST, 1), list_id=PC_LIST)
    with pytest.raises(InvalidMessage, match="says that it is"):
        take_lists(NO_LISTS, [entry], verifier, NOW)


def test_an_altered_list_is_refused(signer: ListSigner, verifier: ChainVerifier) -> None:
    entry = given(signer, DEVICE_LIST, 1)
    altered = replace(entry, data=entry.data.replace(DIGEST, b"\6" * 32))
    with pytest.raises(InvalidMessage, match="does not verify"):
        take_lists(NO_LISTS, [altered], verifier, NOW)


def test_a_list_of_another_pki_is_refused(signer: ListSigner, files: KeyFiles) -> None:
    other = files.find_key("device-issuer")
    assert other is not None
    with pytest.raises(InvalidMessage, match="not a trust anchor"):
        take_lists(NO_LISTS, [given(signer, DEVICE_LIST, 1)], ChainVerifier([other.public]), NOW)


def test_a_licence_that_wants_newer_revocation_information_is_refused(
    signer: ListSigner, verifier: ChainVerifier
) -> None:
    held = take_lists(NO_LISTS, [given(signer, REVOCATION_INFO, 4)], verifier, NOW)
    for version in (None, 0, 4):
        refuse_outdated(license_wanting(version), held)
    with pytest.raises(InvalidMessage, match="of version 5, the device has 4"):
        refuse_outdated(license_wanting(5), held)
    with pytest.raises(InvalidMessage, match="of version 1, the device has 0"):
        refuse_outdated(license_wanting(1), NO_LISTS)


def test_lists_are_kept_in_the_folder(
    signer: ListSigner, verifier: ChainVerifier, tmp_path: Path
) -> None:
    assert load_lists(tmp_path) == NO_LISTS
    lists = [given(signer, REVOCATION_INFO, 2), given(signer, DEVICE_LIST, 2)]
    held = take_lists(NO_LISTS, lists, verifier, NOW)
    save_lists(tmp_path, held)
    assert load_lists(tmp_path) == held
    newer = take_lists(held, [given(signer, DEVICE_LIST, 3)], verifier, NOW)
    save_lists(tmp_path, newer)
    assert load_lists(tmp_path).version(DEVICE_LIST) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "revocation-device.bin",
        "revocation-information.bin",
    ]


def test_an_invalid_list_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "revocation-pc.bin").write_bytes(b"x")
    with pytest.raises(InternalError, match=r"revocation-pc\.bin: revocation list"):
        load_lists(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(
    signer: ListSigner, verifier: ChainVerifier, tmp_path: Path
) -> None:
    held: HeldLists = take_lists(NO_LISTS, [given(signer, PC_LIST, 1)], verifier, NOW)
    (tmp_path / "nowhere").write_bytes(b"")
    with pytest.raises(InternalError, match="nowhere cannot be made"):
        save_lists(tmp_path / "nowhere", held)
