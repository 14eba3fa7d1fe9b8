"""The certificate for HTTPS: choice, names and refusals."""

import time
from pathlib import Path

import pytest
from click import UsageError

from rightsmanager.cli.serve import serve
from rightsmanager.crypto import pem
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import system_random
from rightsmanager.crypto.x509 import issue_self_signed
from rightsmanager.errors import InternalError
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.settings import ServerSettings, Settings
from rightsmanager.web.tls import (
    TlsFiles,
    certificate_names,
    find_tls_files,
    prepare_https,
    server_context,
)

NOW = int(time.time())
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def settings(data: Path, **server: str) -> Settings:
    return Settings(data=data, server=ServerSettings.model_validate(server))


@pytest.mark.parametrize(
    ("server", "more"),
    [
        ({}, ()),
        ({"bind": "0.0.0.0:8080"}, ()),
        ({"bind": "[::]:8080"}, ()),
        ({"bind": "192.0.2.1:8080"}, ("192.0.2.1",)),
        ({"bind": "[0:0::1]:8080"}, ()),
        ({"public_url": "https://DRM.test:444/x/rightsmanager.asmx"}, ("drm.test",)),
        ({"https_names": ("localhost", "a.test", "2001:DB8::0")}, ("a.test", "2001:db8::")),
    ],
)
def test_the_certificate_names_all_hosts_that_clients_may_use(
    server: dict[str, str], more: tuple[str, ...]
) -> None:
    names = certificate_names(ServerSettings.model_validate(server))
    assert names == (*LOOPBACK, *more)


def test_without_settings_there_is_no_certificate(tmp_path: Path) -> None:
    assert find_tls_files(settings(tmp_path)) is None
    prepare_https(settings(tmp_path), KeyFiles(tmp_path, None), NOW, system_random)
    assert list(tmp_path.iterdir()) == []


def test_a_certfile_may_contain_the_key(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    key = PrivateKey.generate(system_random)
    certificate = issue_self_signed(key, LOOPBACK, NOW, 60, system_random)
    both.write_bytes(certificate + pem.build_private_key(key))
    files = find_tls_files(settings(tmp_path, certfile=str(both)))
    assert files == TlsFiles(both, both, both)
    server_context(files, None)


@pytest.mark.parametrize(
    ("key", "passphrase", "reason"),
    [
        (PrivateKey.generate(system_random), None, "key values mismatch"),
        (None, None, "No such file"),
        (b"no key", None, "not a certificate and its key in PEM"),
        (b"encrypted", b"wrong", ""),
        (b"encrypted", None, "passphrase"),
    ],
    ids=["another's", "missing", "none", "wrong passphrase", "no passphrase"],
)
def test_unusable_files_are_named(
    tmp_path: Path, key: PrivateKey | bytes | None, passphrase: bytes | None, reason: str
) -> None:
    own = PrivateKey.generate(system_random)
    files = TlsFiles(tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "c.pem")
    files.certificate.write_bytes(issue_self_signed(own, LOOPBACK, NOW, 60, system_random))
    if key == b"encrypted":
        files.key.write_bytes(pem.build_private_key(own, b"swordfish"))
    elif isinstance(key, PrivateKey):
        files.key.write_bytes(pem.build_private_key(key))
    elif key is not None:
        files.key.write_bytes(key)
    with pytest.raises(InternalError) as refused:
        server_context(files, passphrase)
    assert refused.value.text.startswith(f"HTTPS with the certificate {files.certificate} and the ")
    assert reason in refused.value.text


@pytest.mark.parametrize(
    "options", [("--https", "--certfile", "a"), ("--keyfile", "a"), ("--https", "--keyfile", "a")]
)
def test_contradicting_options_are_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        serve.main(["--data", str(tmp_path / "data"), *options], standalone_mode=False)
    assert not (tmp_path / "data").exists()
