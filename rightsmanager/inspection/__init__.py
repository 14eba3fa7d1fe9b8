"""What is it? Any licence, certificate, header or message, taken apart, with every check made.

`recognition` tells what it is, one module for each kind turns it into a `Description`, and nothing
here refuses a damaged thing: what cannot be read is shown as bytes beside the check that failed.
"""

from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description, Outcome, as_json
from rightsmanager.inspection.recognition import describe

__all__ = ["Check", "Context", "Description", "Outcome", "as_json", "describe"]
