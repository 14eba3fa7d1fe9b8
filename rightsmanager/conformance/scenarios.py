"""The scenarios: steps that a client is asked to do, and what the server does meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rightsmanager.conformance import checks
from rightsmanager.conformance.checks import ELSEWHERE, METERED_PLAYS, Check
from rightsmanager.conformance.evidence import ACQUIRE, METER
from rightsmanager.crypto.random import Rng
from rightsmanager.protocol.wire import AccountId, Kid, TransactionId
from rightsmanager.testing.world import World


class Action(StrEnum):
    """The things that a client is asked to do."""

    ACQUIRE = "acquire"
    """Acquire a licence, and keep it if it is persistent."""
    PLAY = "play"
    """Play to the end, with the licence that it has, or else with a new one."""
    REPORT = "report"
    """Report the usage under the metering id."""
    DELETE = "delete"
    """Delete the licences for the KID."""


@dataclass(frozen=True, slots=True)
class Names:
    """The ids of one run of a scenario, none of which was used before."""

    kid: Kid
    account: AccountId
    transaction: TransactionId
    mid: str
    """The metering id of the world, a GUID."""

    def fill(self, template: str) -> str:
        """Return a text with the ids in place of their names in braces."""
        return template.format(
            kid=self.kid.text,
            account=self.account.text,
            transaction=self.transaction.text,
            mid=self.mid,
        )


def new_names(rng: Rng, mid: str) -> Names:
    """Return new ids."""
    return Names(Kid(rng(16)), AccountId(rng(16)), TransactionId(rng(16)), mid)


Act = Callable[[World, Names], None]
"""Done by the operator before a step."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the client is asked to do."""

    action: Action
    instruction: str
    before: tuple[Act, ...] = ()
    times: int = 1
    """The number of times to do it."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps, and the checks of what the client did."""

    name: str
    title: str
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    query: str = ""
    """Of the URL that the client uses, with ids in braces."""
    in_domain: bool = False
    """Whether the content belongs to the account's domain."""


# --- acts -----------------------------------------------------------------------------------------


def _status(status: str, count: int | None = None) -> Act:
    def act(world: World, _: Names) -> None:
        world.faults.add("status", operation=ACQUIRE, status=status, count=count)

    return act


def _redirect(world: World, _: Names) -> None:
    target = world.url.replace("/rightsmanager.asmx", ELSEWHERE)
    world.faults.add("status", operation=ACQUIRE, status="0x8004c60d", redirect_url=target, count=1)


def _toxic(kind: str, operation: str) -> Act:
    def act(world: World, _: Names) -> None:
        world.faults.add(kind, operation=operation, count=1)

    return act


def _clear_faults(world: World, _: Names) -> None:
    world.faults.clear()


def _open_account(world: World, names: Names) -> None:
    world.domains.create(names.account.text, friendly_name="Conformance")


def _renew(world: World, names: Names) -> None:
    world.domains.renew(names.account.text)


def _remove_members(world: World, names: Names) -> None:
    account = names.account.text
    for device in world.domains.show(account)["devices"]:
        if device["state"] == "member":
            world.domains.remove(account, device["device"])


def _revoke_another(world: World, names: Names) -> None:
    # A certificate that no device has: there is a new version of a list to learn of.
    world.revoke(names.kid.raw * 2)


# --- the table ------------------------------------------------------------------------------------

_PERSISTENT: Final = "cfg=(kid:{kid},persist:true,tid:{transaction})"
_DOMAIN: Final = "cfg=(kid:{kid},persist:true,accountid:{account})"
_ACQUIRE: Final = "Acquire a licence for KID {kid}."
_PLAY: Final = "Play the content of KID {kid} to its end."

FIRST: Final = Scenario(
    "first-licence",
    "The challenge",
    (Step(Action.ACQUIRE, "Acquire a licence for KID {kid}, two times.", times=2),),
    (checks.NONCE, checks.DIGEST, checks.SIGNATURE),
)
REVOCATION: Final = Scenario(
    "revocation-lists",
    "Revocation lists",
    (
        Step(Action.ACQUIRE, _ACQUIRE, (_revoke_another,)),
        Step(Action.ACQUIRE, "Acquire another licence for KID {kid}."),
    ),
    (checks.LISTS,),
)
INTERNAL_ERROR: Final = Scenario(
    "internal-error",
    "0x8004c600, the server fails",
    (Step(Action.ACQUIRE, _ACQUIRE, (_status("0x8004c600"),)),),
    (checks.C600,),
)
DOMAIN_REQUIRED: Final = Scenario(
    "domain-required",
    "0x8004c605, a domain is required",
    (Step(Action.ACQUIRE, _ACQUIRE, (_open_account,)),),
    (checks.C605,),
    _DOMAIN,
    in_domain=True,
)
RENEW_DOMAIN: Final = Scenario(
    "renew-domain",
    "0x8004c606, the domain was renewed",
    (
        Step(Action.ACQUIRE, _ACQUIRE, (_open_account,)),
        Step(Action.ACQUIRE, "Acquire another licence for KID {kid}.", (_renew,)),
    ),
    (checks.C606,),
    _DOMAIN,
    in_domain=True,
)
NOT_A_MEMBER: Final = Scenario(
    "not-a-member",
    "0x8004c60a, the device was removed from the domain",
    (
        Step(Action.ACQUIRE, _ACQUIRE, (_open_account,)),
        Step(Action.ACQUIRE, "Acquire another licence for KID {kid}.", (_remove_members,)),
    ),
    (checks.C60A,),
    _DOMAIN,
    in_domain=True,
)
REDIRECT: Final = Scenario(
    "redirect",
    "0x8004c60d, another server is in charge",
    (Step(Action.ACQUIRE, _ACQUIRE, (_redirect,)),),
    (checks.C60D,),
)
ACKNOWLEDGEMENT: Final = Scenario(
    "acknowledgement",
    "The acknowledgement of a licence",
    (Step(Action.ACQUIRE, _ACQUIRE),),
    (checks.ACKNOWLEDGES,),
    _PERSISTENT,
)
ALTERED_MAC: Final = Scenario(
    "altered-mac",
    "A licence whose MAC is wrong",
    (
        Step(Action.ACQUIRE, _ACQUIRE, (_toxic("license-mac", ACQUIRE),)),
        Step(Action.PLAY, _PLAY, (_clear_faults,)),
    ),
    (checks.MAC,),
    _PERSISTENT,
)
ALTERED_NONCE: Final = Scenario(
    "altered-nonce",
    "A reply to another nonce",
    (
        Step(Action.ACQUIRE, _ACQUIRE, (_toxic("wrong-nonce", ACQUIRE),)),
        Step(Action.PLAY, _PLAY, (_clear_faults,)),
    ),
    (checks.FOREIGN_NONCE,),
    _PERSISTENT,
)
METERING: Final = Scenario(
    "metering",
    "A report of usage whose reply gets lost",
    (
        Step(Action.PLAY, _PLAY, times=METERED_PLAYS - 1),
        Step(
            Action.REPORT,
            "Report the usage under metering id {mid}; the reply will get lost.",
            (_toxic("reply-lost", METER),),
        ),
        Step(Action.REPORT, "Report the usage again.", (_clear_faults,)),
        Step(Action.PLAY, "Play the content of KID {kid} once more."),
        Step(Action.REPORT, "Report the usage again."),
    ),
    (checks.TRANSACTION, checks.CLEARED),
    "cfg=(kid:{kid},persist:true,mid:{mid})",
)
SECURE_STOP: Final = Scenario(
    "secure-stop",
    "The end of a playback under secure stop",
    (Step(Action.PLAY, _PLAY),),
    (checks.SECURE_STOP,),
    "cfg=(kid:{kid},securestop:true)",
)
SECURE_DELETE: Final = Scenario(
    "secure-delete",
    "The deletion of a persistent licence",
    (
        Step(Action.ACQUIRE, _ACQUIRE),
        Step(Action.DELETE, "Delete the licences for KID {kid}."),
    ),
    (checks.SECURE_DELETE,),
    _PERSISTENT,
)
REVOKED: Final = Scenario(
    "revoked",
    "0x8004c065, the device is revoked",
    (
        Step(Action.ACQUIRE, _ACQUIRE, (_status("0x8004c065"),)),
        Step(Action.ACQUIRE, "Try to acquire a licence for KID {kid} once more."),
    ),
    (checks.C065,),
)

SCENARIOS: Final = (
    FIRST,
    REVOCATION,
    INTERNAL_ERROR,
    DOMAIN_REQUIRED,
    RENEW_DOMAIN,
    NOT_A_MEMBER,
    REDIRECT,
    ACKNOWLEDGEMENT,
    ALTERED_MAC,
    ALTERED_NONCE,
    METERING,
    SECURE_STOP,
    SECURE_DELETE,
    # The last one: a client that stops as it should asks for no licence any more.
    REVOKED,
)
