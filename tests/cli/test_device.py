"""`device new` and `device acquire`, without a server."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.p256 import PrivateKey, PublicKey
from rightsmanager.crypto.random import system_random
from rightsmanager.device import load_device
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    ChainVerifier,
    Feature,
    KeyUsage,
    parse_chain,
)
from rightsmanager.protocol.formats.bcert.objects import Manufacturer, SecurityVersion

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"


def test_only_the_owner_can_read_a_new_devices_files(run: Run, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    ran = run("device", "new", "--data", str(data), str(folder))
    assert (ran.status, ran.output, ran.errors) == (0, f"The device is in {folder}.\n", "")
    files = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert files == dict.fromkeys(
        ("certificate-chain.bin", "signing.key", "encryption.key", "wmrmserver.pub", "root.pub"),
        0o600,
    )
    leaf = load_device(folder).chain.leaf
    assert (leaf.type, leaf.security_level) == (CertificateType.DEVICE, 2000)


def test_the_certificate_has_the_values_of_the_options(
    run: Run, data: Path, tmp_path: Path
) -> None:
    wanted = ("--security-level", "150", "--feature", "receiver", "--feature", "secure-clock")
    assert run("device", "new", "--data", str(data), *wanted, str(tmp_path / "d")).status == 0
    leaf = load_device(tmp_path / "d").chain.leaf
    assert leaf.security_level == 150
    assert set(leaf.features) == {Feature.RECEIVER, Feature.SECURE_CLOCK}


def test_the_certificate_has_the_model_and_the_platform_of_the_options(
    run: Run, data: Path, tmp_path: Path
) -> None:
    new = ("device", "new", "--data", str(data))
    model = ("--manufacturer", "Ünïcode", "--model-name", "TV", "--model-number", "X-1")
    assert run(*new, *model, "--platform", "androidonarm", str(tmp_path / "tv")).status == 0
    chain = load_device(tmp_path / "tv").chain
    assert chain.leaf.manufacturer == Manufacturer("Ünïcode", "TV", "X-1")
    assert chain.leaf.find(SecurityVersion) == SecurityVersion(1, 11)
    assert run(*new, str(tmp_path / "plain")).status == 0
    plain = load_device(tmp_path / "plain").chain.leaf
    assert plain.find(SecurityVersion) is None
    assert plain.manufacturer == Manufacturer("RightsManager test PKI", "Simulated device", "1")
    wrong = run(*new, "--platform", "amiga", str(tmp_path / "other"))
    assert (wrong.status, "androidonarm" in wrong.errors.lower()) == (2, True)


def test_keys_of_a_client_are_certified(run: Run, data: Path, tmp_path: Path) -> None:
    signing, encryption = (PrivateKey.generate(system_random) for _ in range(2))
    (tmp_path / "signing.pub").write_bytes(signing.public.raw)
    (tmp_path / "encryption.pub").write_bytes(encryption.public.raw)
    chain_file = tmp_path / "chain"
    names = [str(tmp_path / name) for name in ("signing.pub", "encryption.pub", "chain")]
    certify = ("device", "certify", "--data", str(data), "--model-name", "TV", *names)
    assert run(*certify).output == f"The certificate chain is in {chain_file}.\n"
    chain = parse_chain(chain_file.read_bytes())
    root = PublicKey((data / "public" / "root.pub").read_bytes())
    ChainVerifier((root,)).verify(chain, 0)
    assert chain.leaf.key_with_usage(KeyUsage.SIGN) == signing.public
    assert chain.leaf.key_with_usage(KeyUsage.ENCRYPT_KEY) == encryption.public
    again = run(*certify)
    assert (again.status, "exists already, expected a new file" in again.errors) == (1, True)
    (tmp_path / "signing.pub").write_bytes(b"short")
    wrong = run(*certify)
    assert (wrong.status, str(tmp_path / "signing.pub") in wrong.errors) == (1, True)


def test_a_device_is_not_overwritten(run: Run, data: Path, tmp_path: Path) -> None:
    new = ("device", "new", "--data", str(data), str(tmp_path / "device"))
    assert run(*new).status == 0
    before = (tmp_path / "device" / "signing.key").read_bytes()
    again = run(*new)
    assert again.status == 1
    assert again.errors.count("\n") == 1
    assert "holds a device already" in again.errors
    assert (tmp_path / "device" / "signing.key").read_bytes() == before


def test_without_a_keyring_there_is_no_device(run: Run, tmp_path: Path) -> None:
    ran = run("device", "new", "--data", str(tmp_path / "none"), str(tmp_path / "device"))
    assert (ran.status, (tmp_path / "device").exists()) == (1, False)
    assert f"the data folder {tmp_path / 'none'} does not exist" in ran.errors
    assert f"the data folder {tmp_path / 'none'} does not exist" in ran.errors
    assert not (tmp_path / "device").exists()


@pytest.fixture
def device(run: Run, data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "device"
    assert run("device", "new", "--data", str(data), str(folder)).status == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        ((), 2, "give one of --kid, --header and --pssh"),
        (("--kid", KID, "--pssh", "AAAA"), 2, "give one of --kid, --header and --pssh"),
        (("--kid", "nonsense"), 2, "KID"),
        (("--kid", KID, "--header-version", "4.4.0.0"), 2, "4.4.0.0"),
        (("--kid", KID, "--header-version", "4.0.0.0", "--algid", "AESCBC"), 1, "ALGID AESCBC"),
        (("--kid", KID, "--kid", KID), 1, "has a KID twice"),
        (("--kid", KID, "--kid", "AAAAAAAAAAAAAAAAAAAAAA==", "--header-version", "4.1.0.0"), 1, ""),
        (("--header", "/nowhere/header.xml"), 2, "/nowhere/header.xml cannot be read"),
        (("--pssh", "?"), 1, "nothing known is in it"),
        (("--pssh", "AAAA"), 1, "PlayReady Object"),
        (("--pssh", b64encode(b"\0\0\0\x20pssh").decode()), 1, "PSSH"),
        (("--kid", KID, "--url", "ftp://127.0.0.1/"), 1, "neither http nor https"),
        (("--kid", KID, "--url", "http://127.0.0.1:1/rightsmanager.asmx"), 4, "cannot be reached"),
        (("--kid", KID, "--url", "http://[/"), 4, ""),
        (("--kid", KID, "--url", "http://"), 4, ""),
        (("--kid", KID, "--url", "http://127.0.0.1:99999/"), 4, ""),
        (("--kid", KID, "--url", "http://127.0.0.1:1/a b"), 4, ""),
    ],
)
def test_invalid_input_is_reported_in_one_line(
    run: Run, device: Path, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    url = () if "--url" in arguments else ("--url", "http://127.0.0.1:1/")
    ran = run("device", "acquire", "--device", str(device), *url, *arguments)
    assert ran.status == status
    assert ran.output == ""
    assert expected in ran.errors.splitlines()[-1]
    assert status == 2 or ran.errors.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("certificate-chain.bin", b"CHAI"),
        ("signing.key", b""),
        ("encryption.key", b"-----BEGIN PRIVATE KEY-----"),
        ("wmrmserver.pub", bytes(64)),
        ("root.pub", b"short"),
        ("root.pub", None),
    ],
)
def test_the_invalid_file_of_a_device_is_named(
    run: Run, device: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        (device / name).unlink()
    else:
        (device / name).write_bytes(content)
    url = "http://127.0.0.1:1/"
    ran = run("device", "acquire", "--device", str(device), "--url", url, "--kid", KID)
    assert (ran.status, ran.errors.count("\n")) == (1, 1)
    assert str(device / name) in ran.errors
