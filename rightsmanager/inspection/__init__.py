"""Description of any licence, certificate, header or message, with every check.

`recognition` finds the format, and a module for each format makes a `Description`. Damaged input is
not refused: unreadable parts are shown as bytes next to the failed check.
"""

from rightsmanager.inspection.anything import describe_anything, find_checks
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description, Outcome, as_json
from rightsmanager.inspection.recognition import describe

__all__ = [
    "Check",
    "Context",
    "Description",
    "Outcome",
    "as_json",
    "describe",
    "describe_anything",
    "find_checks",
]
