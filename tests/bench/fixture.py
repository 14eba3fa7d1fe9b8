"""A server and challenges for benchmarks, made in advance; each challenge is used once."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rightsmanager.app import build
from rightsmanager.cli.serve import prepare
from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.keyring import CertifiedKeys, certify_device
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version, build_header
from rightsmanager.protocol.messages.challenge import LicenseRequest, seal_license_challenge
from rightsmanager.protocol.wire import Kid
from rightsmanager.server import Runtime, Server
from rightsmanager.settings import CryptoSettings, JournalSettings, MetricsSettings, Settings

HEADER = Header(Version.V4_0, (HeaderKid(Kid.from_text("6f651ae1-dbe4-4434-bcb4-690d1564c41c")),))


@dataclass(frozen=True)
class Bench:
    """A data folder with a keyring and an empty database."""

    data: Path
    database_url: str = ""
    """Empty for SQLite in the data folder."""

    def settings(self, backend: str = "auto") -> Settings:
        """Return default settings for the folder."""
        crypto = CryptoSettings.model_validate({"backend": backend})
        # Observers run after the service; over HTTP they are measured too.
        metrics, journal = MetricsSettings(access="off"), JournalSettings(record="off")
        return Settings(
            data=self.data,
            database_url=self.database_url,
            crypto=crypto,
            metrics=metrics,
            journal=journal,
        )

    def prepare(self) -> None:
        """Make the keyring and the tables."""
        prepare(self.settings())

    def server(self, backend: str) -> Server:
        """Return a server in this process."""
        return build(self.settings(backend), Runtime())

    def device(self) -> CertifiedKeys:
        """Return a new device."""
        return certify_device(KeyFiles(self.data, None), system_random)

    def challenges(self, device: CertifiedKeys, count: int) -> Iterator[bytes]:
        """Yield challenges of one device, each with its own nonce."""
        server_key = PublicKey((self.data / "public" / "wmrmserver.pub").read_bytes())
        backend = choose_backend()
        for _ in range(count):
            request = LicenseRequest(
                header=build_header(HEADER),
                version=1,
                nonce=system_random(16),
                client_time=int(time.time()),
                client_version="10.0.16384.10011",
                chain=device.chain.raw,
            )
            yield seal_license_challenge(
                request, device.signing_key, server_key, backend, system_random
            )
