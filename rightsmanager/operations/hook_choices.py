"""The choice of the hook `choose` applied to the licences of a request."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Final

from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.hooks.choice import MAX_NUMBER, Choice, is_number
from rightsmanager.policy.decision import Decision, without_grants
from rightsmanager.policy.granting import refuse_grants
from rightsmanager.policy.grants import Grant, Policy
from rightsmanager.policy.rules import DecisionWarning, WarningCode
from rightsmanager.protocol.wire import Kid


def apply_choice(decision: Decision, choice: Choice, now: int) -> Decision:
    """Return the decision with the licences that the hook chose; now: Unix seconds.

    Raises ServiceSpecific with the hook's reason if it dropped all of them, and InternalError for
    licences that cannot be issued.
    """
    chosen = decision.grants
    if choice.grants is not None:
        chosen = choice.grants
    reasons = {each.kid: each.reason for each in choice.dropped}
    _refuse_unknown(reasons, chosen)
    dropped = [grant for grant in chosen if grant.kid in reasons]
    left = without_grants(chosen, dropped)
    warnings = tuple(_warn((*decision.grants, *chosen), left, reasons))
    if dropped and not left:
        raise ServiceSpecific(warnings[0].text)
    if choice.expires_in_seconds is not None:
        left = tuple(_with_end(grant, choice.expires_in_seconds) for grant in left)
    if left != decision.grants:
        _refuse_invalid(left, now)
    return replace(
        decision,
        grants=left,
        warnings=decision.warnings + warnings,
        stream_user=choice.stream_user,
        stream_limit=choice.stream_limit,
    )


def _refuse_unknown(kids: Iterable[Kid], grants: Sequence[Grant]) -> None:
    """Raise InternalError for a dropped licence that the request does not have."""
    for kid in set(kids) - {grant.kid for grant in grants}:
        raise InternalError(f"the operator's choose dropped KID {kid.text}, which has no licence")


def _warn(
    grants: Sequence[Grant], left: Sequence[Grant], reasons: Mapping[Kid, str]
) -> Iterator[DecisionWarning]:
    """Yield a warning for each KID that gets no licence."""
    issued = {grant.kid for grant in left}
    for kid, root in {grant.kid: grant.root_kid for grant in grants}.items():
        if kid in issued:
            continue
        reason = reasons.get(kid, "the hook chose other licences")
        if root is not None and root in reasons and kid not in reasons:
            reason = f"its root licence {root.text} is not issued"
        text = " ".join(f"KID {kid.text} gets no licence: {reason}".split())
        yield DecisionWarning.of(WarningCode.DROPPED, text)


def _with_end(grant: Grant, seconds: int) -> Grant:
    return replace(grant, policy=replace(grant.policy, valid_for=seconds, expiration=None))


def _refuse_invalid(grants: tuple[Grant, ...], now: int) -> None:
    """Raise InternalError for licences that contradict each other or cannot be built."""
    for grant in grants:
        for name, value, most in _numbers(grant.policy):
            if not is_number(value, most):
                raise InternalError(
                    f"the operator's choose returned {name} {value!r} for KID {grant.kid.text}, "
                    f"expected 0 to {most}"
                )
        end = grant.policy.end(now)
        if end is not None and end <= (grant.policy.begin or 0):
            raise InternalError(
                f"the operator's choose returned a licence for KID {grant.kid.text} that expires "
                "before it begins"
            )
    try:
        refuse_grants(grants)
    except ServiceSpecific as refusal:
        raise InternalError(f"the operator's choose returned {refusal.text}") from None


_MAX_SHORT: Final = 0xFFFF
_SHORT: Final = frozenset({"security_level", "embedding"})


def _numbers(policy: Policy) -> Iterator[tuple[str, object, int]]:
    """Yield each field that is a number, with the most that a licence can hold."""
    for each in fields(policy):
        value = getattr(policy, each.name)
        if each.type in (int, int | None) and value is not None:
            yield each.name, value, _MAX_SHORT if each.name in _SHORT else MAX_NUMBER
    for each in fields(policy.output_levels):
        yield each.name, getattr(policy.output_levels, each.name), _MAX_SHORT
