"""A back end that decides for the server over HTTP, with Python's standard library alone.

    python examples/hooks_backend.py --secret-file var/keyring/hooks.secret --port 9000

Devices get licences if the query of their URL has the token of a subscriber. All devices of a
subscriber together may play two streams at once. Devices without hardware protection get an hour.
The documents are described in docs/hooks.openapi.json.
"""

import argparse
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SUBSCRIBERS = {"token-of-alice": "alice", "token-of-bob": "bob"}
MAX_AGE_SECONDS = 60
MAX_BODY = 16 << 20
HARDWARE_LEVEL = 3000

Document = Mapping[str, Any]


def decide(facts: Document) -> Document:
    """Return the answer to a request."""
    if facts["operation"] != "AcquireLicense":
        return {"decision": "allow", "custom_data": "welcome"}
    user = SUBSCRIBERS.get(facts["query_values"].get("token", [""])[0])
    if user is None:
        return {"decision": "refuse", "text": "no subscription", "custom_data": '{"buy": true}'}
    answer: dict[str, object] = {"decision": "allow", "custom_data": user}
    answer |= {"stream_user": user, "stream_limit": 2}
    if facts["security_level"] < HARDWARE_LEVEL:
        answer["expires_in_seconds"] = 3600
    return answer


class BackEnd(ThreadingHTTPServer):
    """Answers signed requests, each once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, secret: bytes) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._secret = secret
        self._lock = threading.Lock()
        self._nonces: dict[str, float] = {}

    def sign(self, *parts: bytes) -> str:
        """Return the signature of parts."""
        return hmac.new(self._secret, b"\n".join(parts), hashlib.sha256).hexdigest()

    def is_genuine(self, timestamp: str, nonce: str, signature: str, body: bytes) -> bool:
        """Return whether the server has just sent this, for the first time."""
        expected = self.sign(b"request", timestamp.encode(), nonce.encode(), body)
        if not hmac.compare_digest(expected, signature):
            return False
        now = time.time()
        if abs(now - int(timestamp)) > MAX_AGE_SECONDS:
            return False
        with self._lock:
            # In the order in which they came: the first ones are the oldest.
            while self._nonces and next(iter(self._nonces.values())) < now:
                del self._nonces[next(iter(self._nonces))]
            is_new = nonce not in self._nonces
            self._nonces[nonce] = now + 2 * MAX_AGE_SECONDS
        return is_new


class Handler(BaseHTTPRequestHandler):
    """Answers the calls of one connection."""

    protocol_version = "HTTP/1.1"
    # Head and body are two writes: without this, the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: BackEnd

    def do_POST(self) -> None:
        """Answer one call."""
        length = int(self.headers.get("Content-Length", 0))
        if length > MAX_BODY:
            self.send_error(413)
            return
        body = self.rfile.read(length)
        nonce = self.headers.get("RightsManager-Nonce", "")
        timestamp = self.headers.get("RightsManager-Timestamp", "0")
        signature = self.headers.get("RightsManager-Signature", "")
        if not self.server.is_genuine(timestamp, nonce, signature, body):
            self.send_error(403)
            return
        document = json.loads(body)
        if self.path.endswith("/event"):
            print(document["operation"], document["device"], document["refusal"], flush=True)
            document = {}
        else:
            document = decide(document)
        self._answer(nonce, json.dumps(document).encode())

    def _answer(self, nonce: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header(
            "RightsManager-Signature", self.server.sign(b"answer", nonce.encode(), body)
        )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name it has
        """Print nothing for each request."""


def main() -> None:
    """Answer until the process is ended."""
    parser = argparse.ArgumentParser(description="A back end that decides for the server")
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=9000)
    arguments = parser.parse_args()
    secret = arguments.secret_file.read_bytes().strip()
    with BackEnd(arguments.port, secret) as back_end:
        print(f"http://127.0.0.1:{back_end.server_port}", flush=True)
        back_end.serve_forever()


if __name__ == "__main__":
    main()
