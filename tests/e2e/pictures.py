"""Pictures of the console for the README, of a server with something on every page.

Run `python -m tests.e2e.pictures FOLDER`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.e2e.browsing import PHONE, launch
from tests.e2e.conftest import spawn_program, start_server
from tests.e2e.seeding import Seeded, seed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

DESK: Final[ViewportSize] = {"width": 1120, "height": 720}
COLORS: Final = 96
REQUESTS: Final = 20
"""More licences, so that the overview has something to count."""


def main(folder: Path) -> None:
    """Write all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        server = start_server(spawn_program, f"sqlite:///{data / 'rightsmanager.db'}", data)
        try:
            seeded = seed(server, Path(name))
            for _ in range(REQUESTS):
                seeded.phone.run("acquire", "--url", seeded.url, "--kid", seeded.kids[1])
            with sync_playwright() as playwright:
                chromium = launch(playwright)
                _draw(chromium, seeded, folder)
                chromium.close()
        finally:
            server.stop()
    _shrink(folder)


def _draw(chromium: Browser, seeded: Seeded, folder: Path) -> None:
    reason = "needs security level 3000"
    _show(chromium, seeded, folder / "overview.png", "/console/", "light", DESK)
    _show(chromium, seeded, folder / "journal.png", "/console/journal", "dark", DESK)
    _show(chromium, seeded, folder / "entry.png", "/console/journal", "light", DESK, reason)
    _show(chromium, seeded, folder / "phone.png", "/console/journal", "dark", PHONE, reason)


def _show(  # noqa: PLR0917 -- a browser's settings, and the link to follow
    chromium: Browser,
    seeded: Seeded,
    file: Path,
    path: str,
    scheme: Literal["light", "dark"],
    size: ViewportSize,
    follow: str = "",
) -> None:
    with chromium.new_context(viewport=size, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(f"{seeded.origin}{path}", wait_until="load")
        if follow:
            page.locator("tr", has_text=follow).first.locator("a").first.click()
            page.wait_for_load_state("load")
        page.screenshot(path=file)


def _shrink(folder: Path) -> None:
    """Write the pictures with a palette of colours, a third as large."""
    for file in sorted(folder.glob("*.png")):
        with Image.open(file) as picture:
            picture.convert("RGB").quantize(COLORS).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
