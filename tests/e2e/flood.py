"""Devices that report what they played until each report is answered, whatever dies meanwhile.

A device sends a report, its reply gets lost or the server dies, and it sends the report again, as
it was or encrypted and signed again, until it is answered. Some reports it sends once more after
that. Which ones, and what was played, a seed decides.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from lxml import etree

from rightsmanager.crypto.random import seeded_random
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.messages.metering import (
    MeteringCertificate,
    MeteringReport,
    Usage,
    open_metering_response,
    seal_metering_data,
)
from rightsmanager.protocol.wire import Kid, Mid, TransactionId
from rightsmanager.protocol.xml.envelope import parse_envelope

if TYPE_CHECKING:
    from tests.e2e.conftest import Client, Server

KIDS = [Kid(number.to_bytes(16, "big")) for number in range(1, 301)]
ACTIONS = ("Play", "Play", "Play", "Copy")
STORE_FAILED = "0x8004c600"
PAUSE = 0.02
"""Seconds that a device waits before a retry."""
REPLY_SECONDS = 120
"""Seconds after which a device gives up an unanswered report."""

Counts = Counter[tuple[object, str]]


@dataclass(frozen=True)
class Sizes:
    """The amount to report, and the number of kills meanwhile."""

    devices: int = 50
    reports: int = 4
    """Of each device."""
    usage: int = 60
    """The maximum numbers of KIDs and actions in a report."""
    kills: int = 4


@dataclass
class Device:
    """A device with its reports, which it sends over one connection, made again when it breaks."""

    client: "Client"
    certificate: MeteringCertificate
    random: Random
    reports: list[MeteringReport] = field(default_factory=list)
    tries: int = 0

    @property
    def name(self) -> str:
        return self.client.device.chain.leaf.device_id

    def play(self, count: int, most: int) -> None:
        """Prepare this many reports."""
        for _ in range(count):
            used = {
                (self.random.choice(KIDS), self.random.choice(ACTIONS)): self.random.randint(1, 9)
                for _ in range(self.random.randint(1, most))
            }
            usage = tuple(Usage(kid, action, value) for (kid, action), value in used.items())
            transaction_id = TransactionId(self.random.randbytes(16))
            self.reports.append(MeteringReport(self.certificate.mid, transaction_id, usage))

    def seal(self, report: MeteringReport) -> bytes:
        usage = list(report.usage)
        self.random.shuffle(usage)
        device = self.client.device
        return seal_metering_data(
            MeteringReport(report.mid, report.transaction_id, tuple(usage)),
            ClientInfo((device.chain.raw,), int(time.time()), "4.4.0.1"),
            ChallengeKeys(
                device.signing_key,
                self.certificate.key,
                self.client.opening.backend,
                seeded_random(self.random.randbytes(16)),
            ),
        )

    def send_all(self, port: int, answered: Callable[[], None]) -> None:
        """Send each report until it is answered, some once more; call back for each answer."""
        for report in self.reports:
            self._send(port, report)
            answered()
            if self.random.random() < 0.2:
                self._send(port, report)

    def _send(self, port: int, report: MeteringReport) -> None:
        deadline = time.monotonic() + REPLY_SECONDS
        body = self.seal(report)
        while (answer := self._try(port, body)) is None:
            assert time.monotonic() < deadline, "a report was not answered"
            time.sleep(PAUSE)
            if self.random.random() < 0.5:
                body = self.seal(report)
        told, _ = open_metering_response(parse_envelope(answer))
        assert (told.mid, told.transaction_id) == (report.mid, report.transaction_id)

    def _try(self, port: int, body: bytes) -> bytes | None:
        """Return the reply, or None without one or if the server has no database."""
        self.tries += 1
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REPLY_SECONDS)
        try:
            connection.request("POST", "/rightsmanager.asmx", body, {"Content-Type": "text/xml"})
            if self.random.random() < 0.1:
                return None  # The client vanishes; the server may have counted by now.
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if response.status == 200:
            return answer
        code = etree.fromstring(answer).findtext(".//Exception/StatusCode")
        assert code == STORE_FAILED, answer.decode()
        return None


@dataclass
class Flood:
    """Devices, and what dies while they report."""

    devices: list[Device]
    kill: Callable[[Random], None]
    """Kills a part of the server and restarts what it needs."""
    kills: int
    random: Random
    _answered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, server: "Server") -> None:
        """Send every report until it is answered."""
        count = sum(len(device.reports) for device in self.devices)
        due = set(self.random.sample(range(1, count), self.kills))

        def answered() -> None:
            # Kills depend on the devices' progress, not on time.
            with self._lock:
                self._answered += 1
                if self._answered in due:
                    self.kill(self.random)

        with ThreadPoolExecutor(len(self.devices)) as threads:
            done = [
                threads.submit(device.send_all, server.port, answered) for device in self.devices
            ]
            for each in done:
                each.result()

    def played(self, mid: Mid) -> Counts:
        """Return the plays of all devices by KID and action."""
        return _count(
            (usage.kid, usage.action, usage.value)
            for device in self.devices
            for report in device.reports
            for usage in report.usage
            if report.mid == mid
        )

    def played_by_device(self, mid: Mid) -> Counts:
        """Return the plays by device and action."""
        return _count(
            (device.name, usage.action, usage.value)
            for device in self.devices
            for report in device.reports
            for usage in report.usage
            if report.mid == mid
        )


def _count(rows: Iterator[tuple[object, str, int]]) -> Counts:
    counts: Counts = Counter()
    for group, action, value in rows:
        counts[group, action] += value
    return counts
