"""The signer of revocation lists, which an older data folder gets too."""

from pathlib import Path

import pytest

from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.errors import InternalError
from rightsmanager.keyring import KeyringSources, create, load, load_list_signer
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import CertificateType, ChainVerifier, KeyUsage

NEW = ("crl-issuer", "crl-signer")


def rng_for(name: str) -> Rng:
    return seeded_random(name.encode())


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    """A data folder that is older than the signer of lists."""
    files = KeyFiles(tmp_path, None)
    create(files, rng_for)
    for name in NEW:
        for ending in ("key", "chain"):
            (files.private / f"{name}.{ending}").unlink()
    return files


def test_the_signer_verifies_under_the_root(files: KeyFiles) -> None:
    create(files, rng_for)
    signer, root = load_list_signer(files), files.find_key("root")
    assert root is not None
    ChainVerifier([root.public]).verify(signer.chain, 0)
    assert signer.chain.leaf.type == CertificateType.CRL_SIGNER
    assert signer.chain.leaf.key_with_usage(KeyUsage.SIGN_CRL) == signer.key.public


def test_an_older_folder_gets_a_signer_and_keeps_the_rest(files: KeyFiles) -> None:
    before = {file.name: file.read_bytes() for file in files.private.iterdir()}
    create(files, rng_for)
    after = {file.name: file.read_bytes() for file in files.private.iterdir()}
    assert before.items() <= after.items()
    assert set(after) - set(before) == {
        f"{name}.{ending}" for name in NEW for ending in ("key", "chain")
    }


def test_a_folder_without_a_root_key_loads_without_a_signer(files: KeyFiles) -> None:
    (files.private / "root.key").unlink()
    create(files, rng_for)
    load(files, KeyringSources())
    assert files.find_key("crl-issuer") is None
    with pytest.raises(InternalError, match=r"put it back, and run rightsmanager init"):
        load_list_signer(files)


def test_a_chain_of_another_key_is_refused(files: KeyFiles) -> None:
    create(files, rng_for)
    other = files.find_chain("license-signer")
    assert other is not None
    (files.private / "crl-signer.chain").write_bytes(other.raw)
    with pytest.raises(InternalError, match="SIGN_CRL"):
        load_list_signer(files)
