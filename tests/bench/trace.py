"""The way of one request through our own code: calls, files and changes of file.

Counts each Python call into `rightsmanager/` between the WSGI callable and the last byte of the
reply, of an AcquireLicense and of a metering report of three records, once all caches are warm.

    python -m tests.bench.trace            the figures
    python -m tests.bench.trace --calls    the calls too, in order
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

from rightsmanager.logs import configure_logs
from rightsmanager.server import Server
from rightsmanager.settings import LogSettings
from tests.bench.fixture import Bench
from tests.bench.metering import make_reporter

ROOT = Path(__file__).parents[2] / "rightsmanager"
LIMITS = {"AcquireLicense": (180, 28), "ProcessMeteringData": (250, None)}
"""The maximum numbers of calls and files of a request; None for no limit."""
WARM_UP = 3


@dataclass
class Trace:
    """Calls in order, each as its file and the function's name."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    @property
    def files(self) -> int:
        """Return the number of files that the calls are in."""
        return len({file for file, _ in self.calls})

    @property
    def changes(self) -> int:
        """Return the number of calls in another file than the call before."""
        return sum(a[0] != b[0] for a, b in zip(self.calls, self.calls[1:], strict=False))


@contextmanager
def traced() -> Iterator[Trace]:
    """Trace this thread's calls in the block."""
    trace, prefix = Trace(), f"{ROOT}/"

    def note(frame: FrameType, event: str, _arg: object) -> None:
        code = frame.f_code
        # Comprehensions are calls of their own in Python 3.11, and each resumption of a generator.
        if event == "call" and code.co_filename.startswith(prefix):
            trace.calls.append((code.co_filename.removeprefix(prefix), code.co_qualname))

    sys.setprofile(note)
    try:
        yield trace
    finally:
        sys.setprofile(None)


def post(server: Server, operation: str, body: bytes) -> bytes:
    """Post a body to the WSGI callable and return the reply; raises AssertionError for a fault."""
    answered: list[str] = []

    def start_response(status: str, _headers: object, _error: object = None) -> Callable[..., None]:
        answered.append(status)
        return lambda _: None

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/rightsmanager.asmx",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:8080",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "text/xml; charset=utf-8",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_SOAPACTION": f'"http://schemas.microsoft.com/DRM/2007/03/protocols/{operation}"',
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    reply = b"".join(server.wsgi(environ, start_response))
    assert answered[-1].startswith("200"), reply.decode()
    return reply


def trace_request(server: Server, operation: str, bodies: Iterator[bytes]) -> Trace:
    """Return the trace of one request after a few others."""
    for _ in range(WARM_UP):
        post(server, operation, next(bodies))
    # Prepared outside the trace: the simulated device's calls are not the server's.
    body = next(bodies)
    with traced() as trace:
        post(server, operation, body)
    return trace


def measure(folder: Path) -> dict[str, Trace]:
    """Return the trace of each operation."""
    bench = Bench(folder)
    bench.prepare()
    # One line of log for each request would hide the figures.
    configure_logs(LogSettings(level="error"))
    server = bench.server("auto")
    device, reporter = bench.device(), make_reporter(bench, records=3)
    count = WARM_UP + 1
    try:
        return {
            "AcquireLicense": trace_request(
                server, "AcquireLicense", bench.challenges(device, count)
            ),
            "ProcessMeteringData": trace_request(
                server, "ProcessMeteringData", iter(reporter.reports(count))
            ),
        }
    finally:
        server.store.close()


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        traces = measure(Path(folder))
    for operation, trace in traces.items():
        calls, files = LIMITS[operation]
        limit = f"at most {calls}" + (f" in {files}" if files else "")
        sys.stdout.write(
            f"{operation:<22} {len(trace.calls):>4} calls in {trace.files:>2} files, "
            f"{trace.changes} changes of file ({limit})\n"
        )
        if "--calls" in sys.argv:
            sys.stdout.writelines(f"    {file:<44} {name}\n" for file, name in trace.calls)


if __name__ == "__main__":
    main()
