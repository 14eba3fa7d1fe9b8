"""Byte-swapped KIDs: a warning if only the swapped KID is stored."""

from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Outcome
from rightsmanager.protocol.wire import Kid


def order_checks(kid: Kid, context: Context) -> tuple[Check, ...]:
    """Return a warning if the store has only the byte-swapped KID."""
    other = kid.swapped
    if context.is_stored(kid) or not context.is_stored(other):
        return ()
    text = (
        f"KID {kid.text} ({kid.base64}) has no stored content key; "
        f"KID {other.text} ({other.base64}), its bytes in the other order, has one"
    )
    return (Check("byte order", Outcome.WARNING, text),)
