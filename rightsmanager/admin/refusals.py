"""Refusals of operators' acts, by their kind."""

from rightsmanager.errors import ServiceSpecific


class NotFound(ServiceSpecific):
    """The thing that the act names does not exist."""


class Conflict(ServiceSpecific):
    """The present state does not allow the act."""


class TimedOut(ServiceSpecific):
    """The event that the act waits for has not come in time."""
