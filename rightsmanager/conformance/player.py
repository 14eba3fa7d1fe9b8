"""A player around the simulated device, which does what the public record expects of clients.

0x8004c065    it asks for no licence any more
0x8004c600    it retries, at most three times
0x8004c605    it joins the domain and asks again; 0x8004c606 likewise
0x8004c60a    it leaves the domain
0x8004c60d    it asks at the RedirectUrl

A licence that fails a check is refused: it is neither kept nor acknowledged.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rightsmanager.conformance.checks import MAX_RETRIES
from rightsmanager.conformance.running import Task
from rightsmanager.conformance.scenarios import Action
from rightsmanager.errors import (
    ConnectionFailed,
    DeviceCertificateRevoked,
    InternalError,
    InvalidMessage,
    NotADomainMember,
    ProtocolRedirect,
    Refusal,
)
from rightsmanager.files import is_file, write_output
from rightsmanager.protocol.wire import Kid
from rightsmanager.testing.devices import Acquisition, Device

MAX_REDIRECTS: Final = 5
_REVOKED_FILE: Final = "revoked"


@dataclass(slots=True)
class Player:
    """A player; its device's folder is all that it remembers."""

    device: Device
    retries: int = MAX_RETRIES

    def __call__(self, task: Task) -> None:
        """Do a task; a failure is the player's own affair."""
        act = {
            Action.ACQUIRE: self.acquire,
            Action.PLAY: self.play,
            Action.REPORT: self.report,
            Action.DELETE: self.delete,
        }[task.action]
        try:
            for _ in range(task.times):
                act(task)
        except Refusal:
            # What it has sent until now is what counts.
            return

    def acquire(self, task: Task) -> Acquisition | None:
        """Acquire a licence; returns None without one."""
        url, redirects, failures = task.url, 0, 0
        while not self.is_revoked():
            try:
                return self.request(task, url)
            except DeviceCertificateRevoked as refusal:
                self.stop_asking(refusal)
            except NotADomainMember:
                self.leave(task)
                return None
            except ProtocolRedirect as refusal:
                redirects += 1
                url = self.redirected(url, refusal)
                if redirects > MAX_REDIRECTS:
                    return None
            except InternalError as refusal:
                failures += 1
                if not refusal.is_received or failures > self.retries:
                    return None
        return None

    def request(self, task: Task, url: str) -> Acquisition:
        """Send one request, and a second one after joining a domain."""
        account = task.names.account.text if task.in_domain else None
        return self.device.acquire(task.names.kid, url=url, account=account, joins=True)

    def is_revoked(self) -> bool:
        """Return whether a server has said that the device is revoked."""
        return is_file(self._revoked_file)

    def stop_asking(self, refusal: DeviceCertificateRevoked) -> None:
        """Remember that the device is revoked."""
        write_output(self._revoked_file, refusal.text.encode())

    @property
    def _revoked_file(self) -> Path:
        return self.device.session.folder / _REVOKED_FILE

    def leave(self, task: Task) -> None:
        """Leave the task's domain."""
        self.device.leave(task.names.account.text)

    def redirected(self, url: str, refusal: ProtocolRedirect) -> str:
        """Return the URL to ask at next."""
        return refusal.redirect_url or url

    def play(self, task: Task) -> None:
        """Play with the licence that it has, or with a new one, and report the session."""
        kid = task.names.kid
        if not self.has_license(kid) and self.acquire(task) is None:
            return
        self.device.play(kid)
        self.device.forget(kid)
        self.report_stop(task)

    def has_license(self, kid: Kid) -> bool:
        """Return whether the device has a usable licence."""
        try:
            self.device.open(kid)
        except (InternalError, InvalidMessage):
            return False
        return True

    def report_stop(self, task: Task) -> None:
        """Report the ended sessions."""
        self.device.report_secure_stop(url=task.url)

    def report(self, task: Task) -> None:
        """Report the usage; without a reply it is sent again the next time."""
        try:
            self.device.report_metering(url=task.url)
        except ConnectionFailed:
            return

    def delete(self, task: Task) -> None:
        """Delete the licences and report it."""
        self.device.delete(task.names.kid, url=task.url)
