"""Players that do one thing wrong each, by the name of the check that finds it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rightsmanager.conformance.player import Player
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rightsmanager.conformance.running import Task
    from rightsmanager.device import Post
    from rightsmanager.errors import DeviceCertificateRevoked, ProtocolRedirect
    from rightsmanager.protocol.wire import Kid
    from rightsmanager.testing.devices import Acquisition, Device

    NewPlayer = Callable[[Device], Player]

NONCE_LENGTH = 16


class OneNonce(Player):
    """Uses one nonce for all requests."""

    def __call__(self, task: Task) -> None:
        session = self.device.session
        self.device = replace(self.device, session=replace(session, rng=_with_one_nonce))
        super().__call__(task)


def _with_one_nonce(length: int) -> bytes:
    return bytes(length) if length == NONCE_LENGTH else system_random(length)


def altering(alter: Callable[[bytes], bytes]) -> NewPlayer:
    """Return a maker of players that alter their challenges after they were signed."""

    def make(device: Device) -> Player:
        inner = device.session.post
        return Player(device.through(lambda url, action, body: inner(url, action, alter(body))))

    return make


def with_wrong_digest(body: bytes) -> bytes:
    return re.sub(rb"(<CLIENTVERSION>)[^<]*", rb"\g<1>1.2.3.4", body)


def with_wrong_signature(body: bytes) -> bytes:
    return re.sub(rb"(<SignatureValue>)[^<]{8}", rb"\g<1>AAAAAAAA", body)


class Forgetful(Player):
    """Keeps no revocation lists."""

    def acquire(self, task: Task) -> Acquisition | None:
        for file in self.device.session.folder.glob("revocation-*"):
            file.unlink()
        return super().acquire(task)


class Insistent(Player):
    """Retries more than three times."""

    def __init__(self, device: Device) -> None:
        super().__init__(device, retries=5)


class Loner(Player):
    """Joins no domain."""

    def __call__(self, task: Task) -> None:
        self.device = self.device.through(_post_without("JoinDomain", self.device))
        super().__call__(task)


class Outdated(Loner):
    """Joins a domain once and never again."""

    def __call__(self, task: Task) -> None:
        if task.step == 1:
            Player.__call__(self, task)
        else:
            super().__call__(task)


def _post_without(operation: str, device: Device) -> Post:
    inner = device.session.post

    def post(url: str, action: str, body: bytes) -> bytes:
        if action.endswith(f"/{operation}"):
            raise ConnectionFailed("it does not send this")
        return inner(url, action, body)

    return post


class Stubborn(Player):
    """Neither leaves a domain nor joins it again."""

    def leave(self, task: Task) -> None:
        pass


class Settled(Player):
    """Follows no redirect."""

    def redirected(self, url: str, refusal: ProtocolRedirect) -> str:
        del refusal
        return url


class Unimpressed(Player):
    """Asks on after it was revoked."""

    def stop_asking(self, refusal: DeviceCertificateRevoked) -> None:
        raise refusal


class Silent(Player):
    """Acknowledges nothing."""

    def request(self, task: Task, url: str) -> Acquisition:
        return self.device.acquire(task.names.kid, url=url, acknowledges=False)


class Trusting(Player):
    """Believes that it has a licence after any reply."""

    asked = False

    def acquire(self, task: Task) -> Acquisition | None:
        self.asked = True
        return super().acquire(task)

    def has_license(self, kid: Kid) -> bool:
        return self.asked or super().has_license(kid)


class Renaming(Player):
    """Gives a report that is sent again a new transaction id."""

    def report(self, task: Task) -> None:
        with self.device.session.journal.transaction() as connection:
            for table in ("transactions", "transaction_usage"):
                connection.execute(f"UPDATE {table} SET transaction_id = zeroblob(16)")  # noqa: S608
        super().report(task)


class Hoarding(Player):
    """Reports the plays of an accepted report once more."""

    def report(self, task: Task) -> None:
        super().report(task)
        self.device.play(task.names.kid)


class Abrupt(Player):
    """Reports no end of a playback."""

    def report_stop(self, task: Task) -> None:
        pass


class Secretive(Player):
    """Deletes licences without a report."""

    def delete(self, task: Task) -> None:
        store = self.device.session.licenses
        for each in store.find(task.names.kid):
            store.remove(each.kid, each.license.rights_id)


WRONG: dict[str, NewPlayer] = {
    "nonce-fresh": OneNonce,
    "digest-exact": altering(with_wrong_digest),
    "signature-exact": altering(with_wrong_signature),
    "revocation-lists-named": Forgetful,
    "c600-retries": Insistent,
    "c605-joins": Loner,
    "c606-renews": Outdated,
    "c60a-leaves-or-rejoins": Stubborn,
    "c60d-follows": Settled,
    "acknowledges": Silent,
    "mac-refused": Trusting,
    "nonce-refused": Trusting,
    "metering-transaction-kept": Renaming,
    "metering-cleared": Hoarding,
    "secure-stop-reported": Abrupt,
    "secure-delete-reported": Secretive,
    "c065-stops": Unimpressed,
}
