"""The overview."""

from rightsmanager.web.console.blocks import Asked, View
from rightsmanager.web.console.parts import Parts


def show_overview(_parts: Parts, _asked: Asked) -> View:
    """Return the page."""
    return View("Overview", ())
