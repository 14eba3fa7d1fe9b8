"""Documents of operators, which are longer than requests of players may be."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from rightsmanager.settings import Settings
from rightsmanager.web.router import MAX_DOCUMENT_BODY
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Start

pytestmark = on_sqlite

LONG = 2 * Settings().server.max_body
BOUNDARY = "boundary"


@pytest.fixture(scope="module")
def alone(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start(tmp_path_factory.mktemp("documents") / "data")


@pytest.mark.parametrize("path", ["/decode", "/content-keys/import"])
def test_the_api_reads_a_long_document(alone: Server, path: str) -> None:
    name = "text" if path == "/decode" else "document"
    body = json.dumps({name: "?" * LONG}).encode()
    answer = alone.call("POST", f"/api/v1{path}", body, Content_Type="application/json")
    assert json.loads(answer.body)["code"] == "invalid-value"
    body = b" " * (MAX_DOCUMENT_BODY + 1)
    answer = alone.call("POST", f"/api/v1{path}", body, Content_Type="application/json")
    assert answer.status == 413


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/console/decode", "text"),
        ("/console/decode", 'file"; filename="a'),
        ("/console/acts/import-keys", "list"),
        ("/console/acts/import-keys", 'file"; filename="a'),
    ],
)
def test_the_console_reads_a_long_text_and_a_long_file(
    alone: Server, path: str, field: str
) -> None:
    shown = alone.call("GET", path)
    token = re.search(rb'name="csrf_token" value="([0-9a-f]+)"', shown.body)
    assert token is not None
    names = {"csrf_token": token[1].decode(), field: "?" * LONG}
    parts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in names.items()
    )
    body = f"{parts}--{BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    answer = alone.call("POST", path, body, Content_Type=kind)
    # It is read, and is nothing of PlayReady.
    assert answer.status == 422
