"""Who a device is: its certificate chain and keys, and the server's public keys that it knows.

certificate-chain.bin   BCert chain
signing.key             PKCS#8 PEM
encryption.key          PKCS#8 PEM
wmrmserver.pub          x(32), y(32): what challenges are encrypted to
root.pub                x(32), y(32): what the server's chain must end in
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rightsmanager.crypto import p256, pem
from rightsmanager.errors import InternalError
from rightsmanager.protocol.bcert import Chain, parse_chain

CHAIN_FILE: Final = "certificate-chain.bin"
SIGNING_FILE: Final = "signing.key"
ENCRYPTION_FILE: Final = "encryption.key"
SERVER_FILE: Final = "wmrmserver.pub"
ROOT_FILE: Final = "root.pub"


@dataclass(frozen=True, slots=True)
class Device:
    """A client's certificate chain and the two private keys of its leaf."""

    chain: Chain
    signing_key: p256.PrivateKey = field(repr=False)
    encryption_key: p256.PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What a device must know of a server beforehand."""

    wmrmserver: p256.PublicKey
    root: p256.PublicKey


def save_device(folder: Path, device: Device, server: ServerKeys) -> None:
    """Write a device's files into a new folder; raises InternalError if it holds a device."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CHAIN_FILE).exists():
        raise InternalError(f"{folder} holds a device already")
    files = {
        SIGNING_FILE: pem.build_private_key(device.signing_key),
        ENCRYPTION_FILE: pem.build_private_key(device.encryption_key),
        SERVER_FILE: server.wmrmserver.raw,
        ROOT_FILE: server.root.raw,
        CHAIN_FILE: device.chain.raw,
    }
    for name, data in files.items():
        with os.fdopen(
            os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        ) as file:
            file.write(data)


def load_device(folder: Path) -> Device:
    """Return the device of a folder; raises InternalError where a file is missing."""
    return Device(
        chain=parse_chain(_read(folder / CHAIN_FILE)),
        signing_key=pem.parse_private_key(_read(folder / SIGNING_FILE)),
        encryption_key=pem.parse_private_key(_read(folder / ENCRYPTION_FILE)),
    )


def load_server_keys(folder: Path) -> ServerKeys:
    """Return the server's public keys that lie in a folder."""
    return ServerKeys(
        wmrmserver=p256.PublicKey(_read(folder / SERVER_FILE)),
        root=p256.PublicKey(_read(folder / ROOT_FILE)),
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InternalError(f"{file} cannot be read: {error.strerror}") from None
