"""The certificate for HTTPS is made once, and renewed when it is no longer usable."""

from pathlib import Path

import pytest

from rightsmanager.crypto.random import system_random
from rightsmanager.crypto.x509 import HttpsCertificate
from rightsmanager.errors import InternalError
from rightsmanager.keyring import HttpsFiles, create_https, read_certificate
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.https import LIFETIME, RENEWED_BEFORE

NOW = 1790000000
NAMES = ("localhost", "127.0.0.1")


def make(
    data: Path, names: tuple[str, ...] = NAMES, now: int = NOW, passphrase: bytes | None = None
) -> HttpsCertificate:
    return create_https(KeyFiles(data, passphrase), names, now, system_random)


def test_it_is_made_once(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert first == make(tmp_path)
    files = HttpsFiles(tmp_path)
    assert files.certificate.read_bytes() == files.public.read_bytes() == first.pem


def test_fewer_names_are_no_reason_to_make_another(tmp_path: Path) -> None:
    assert make(tmp_path) == make(tmp_path, ("localhost",))


@pytest.mark.parametrize(
    ("names", "now"),
    [
        (NAMES, NOW + LIFETIME - RENEWED_BEFORE),
        (NAMES, NOW + LIFETIME * 2),
        (NAMES, NOW - LIFETIME),
        ((*NAMES, "drm.test"), NOW),
    ],
    ids=["about to expire", "expired", "not valid yet", "without a name"],
)
def test_it_is_renewed_for_the_same_key(tmp_path: Path, names: tuple[str, ...], now: int) -> None:
    first = make(tmp_path)
    second = make(tmp_path, names, now)
    assert second.pem != first.pem
    assert second.spki == first.spki
    assert second.names == set(names)
    assert second.not_after == now + LIFETIME
    assert HttpsFiles(tmp_path).public.read_bytes() == second.pem


def test_a_certificate_of_another_key_is_replaced(tmp_path: Path) -> None:
    first = make(tmp_path)
    HttpsFiles(tmp_path).key.unlink()
    second = make(tmp_path)
    assert second.spki != first.spki
    assert HttpsFiles(tmp_path).public.read_bytes() == second.pem


def test_the_public_file_comes_back(tmp_path: Path) -> None:
    first = make(tmp_path)
    HttpsFiles(tmp_path).public.unlink()
    make(tmp_path)
    assert HttpsFiles(tmp_path).public.read_bytes() == first.pem


def test_another_passphrase_is_refused(tmp_path: Path) -> None:
    make(tmp_path, passphrase=b"swordfish")
    for other in (None, b"wrong"):
        with pytest.raises(InternalError, match=r"https\.key: .*passphrase"):
            make(tmp_path, passphrase=other)


def test_a_file_that_is_damaged_or_missing_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    file = HttpsFiles(tmp_path).certificate
    file.write_bytes(b"damaged")
    with pytest.raises(InternalError, match=r"https\.pem: certificate file"):
        make(tmp_path)
    file.unlink()
    with pytest.raises(InternalError, match=r"https\.pem is not there"):
        read_certificate(file)
