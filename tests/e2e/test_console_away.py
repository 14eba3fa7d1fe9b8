"""The console while its database is away: a sentence, no traceback, and pages again afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import html
from playwright.sync_api import sync_playwright

from tests.e2e.browsing import DESK, Visitor, launch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Start
    from tests.postgresql import PostgreSQL

PAGES = ("/console/devices", "/console/journal", "/console/", "/console/domains")


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_a_page_without_its_database_says_so(
    start: Start, own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = own_postgresql.url(own_postgresql.create_database())
    server = start(tmp_path / "data", RIGHTSMANAGER_DATABASE_URL=url)
    assert [server.call("GET", path).status for path in PAGES] == [200] * len(PAGES)
    own_postgresql.stop()
    for path in PAGES:
        answer = server.call("GET", path)
        text = html.fromstring(answer.body).text_content()
        assert (path, answer.status, "Traceback" in text) == (path, 503, False)
        assert "database does not answer" in text or "journal cannot be read" in text
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        with chromium.new_context(viewport=DESK, reduced_motion="reduce") as context:
            visitor = Visitor(context.new_page(), server.url.rpartition("/")[0])
            visitor.visit("/console/devices", status=503, name="without database")
            assert visitor.problems == []
        chromium.close()
    own_postgresql.start()
    assert [server.call("GET", path).status for path in PAGES] == [200] * len(PAGES)
    assert "Traceback" not in server.log.read_text()
