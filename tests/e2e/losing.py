"""A network that loses replies: it forwards requests, and some answers never arrive."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Lose = Callable[[str], bool]
"""Decides whether the server's answer to an operation is lost."""


@contextmanager
def losing(url: str, lose: Lose) -> Iterator[str]:
    """Yield a URL that forwards to the given one within the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            action = self.headers["SOAPAction"]
            sent = {"Content-Type": self.headers["Content-Type"], "SOAPAction": action}
            query = urlsplit(self.path).query
            target = f"{url}?{query}" if query else url
            try:
                request = urllib.request.Request(target, body, sent)  # noqa: S310 -- loopback
                with urllib.request.urlopen(request) as answer:  # noqa: S310 -- as above
                    status, reply = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, reply = error.code, error.read()
            if lose(action.strip('"').rpartition("/")[2]):
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/rightsmanager.asmx"
        finally:
            server.shutdown()
            thread.join()
