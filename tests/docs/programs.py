"""The programs that documents call, each in a process forked from one that has imported everything.

    python -m tests.docs.programs SOCKET FOLDER

writes a file for each program into FOLDER, to be put into PATH, and serves them on SOCKET. Such a
file passes its arguments, environment, current folder and standard streams on, and exits with the
status that it gets back. A fork costs milliseconds; importing the commands for each call would cost
more than most of them do.

Programs that start, build or install something check their arguments and print nothing.
"""

import argparse
import json
import os
import re
import runpy
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import click

from tests.forks import exit_status, reap

ROOT: Final = Path(__file__).parents[2]
MAX_REQUEST: Final = 1 << 20

CLIENT: Final = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({server!r})
    request = [sys.argv[0].rpartition("/")[2], *sys.argv[1:]], os.getcwd(), dict(os.environ)
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    sys.exit(server.recv(1)[0])
"""


def _rightsmanager(arguments: list[str]) -> None:
    if arguments[:1] == ["serve"]:
        _check_serve(arguments[1:])
    else:
        sys.argv = ["rightsmanager", *arguments]
        from rightsmanager.cli import main  # noqa: PLC0415 -- coverage starts in the fork

        main()


def _check_serve(arguments: list[str]) -> None:
    """Build the application by the options and settings; nothing listens."""
    from rightsmanager.app import build  # noqa: PLC0415 -- as above
    from rightsmanager.cli.serve import prepare, serve  # noqa: PLC0415
    from rightsmanager.server import Runtime  # noqa: PLC0415 -- as above
    from rightsmanager.settings_loading import default_settings  # noqa: PLC0415

    data = serve.make_context("serve", list(arguments)).params["data"]
    if data is not None:
        os.environ["RIGHTSMANAGER_DATA"] = str(data)
    settings = default_settings()
    prepare(settings)
    build(settings, Runtime()).store.close()


def _make(arguments: list[str]) -> None:
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {each for each in arguments if "=" not in each} <= set(targets), arguments


def _docker(arguments: list[str]) -> None:
    services = re.findall(r"^  (\w+):$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    program, verb, *others = arguments
    assert program == "compose"
    assert verb in {"up", "cp", "exec", "down"}, verb
    named = {word.partition(":")[0] for word in others if ":" in word}
    named |= set(others[:1]) if verb == "exec" else set()
    assert named <= set(services), named


_CURL: Final = argparse.ArgumentParser("curl", exit_on_error=False)
_CURL.add_argument("-H", dest="headers", action="append", default=[])
_CURL.add_argument("-X", dest="method")
_CURL.add_argument("-o", dest="output")
_CURL.add_argument("--data-binary", dest="data")
_CURL.add_argument("--json")
_CURL.add_argument("url")


def _curl(arguments: list[str]) -> None:
    """Request a URL as curl does with these options; curl itself need not be installed."""
    given = _CURL.parse_args(arguments)
    headers = dict(header.split(": ", 1) for header in given.headers)
    body = None
    if given.json is not None:
        body = given.json.encode()
        headers["Content-Type"] = "application/json"
    if given.data is not None:
        body = Path(given.data.removeprefix("@")).read_bytes()
    request = urllib.request.Request(given.url, body, headers, method=given.method)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        received = answer.read()
    if given.output:
        Path(given.output).write_bytes(received)
    else:
        sys.stdout.buffer.write(received)


def _gunicorn(arguments: list[str]) -> None:
    words = [sys.executable, "-m", "gunicorn", "--check-config", *arguments]
    subprocess.run(words, check=True)


def _pytest(arguments: list[str]) -> None:
    """Look for the files; tests/testing runs them, all with one server."""
    assert all(Path(each).is_file() for each in arguments), arguments


def _python(arguments: list[str]) -> None:
    if arguments[:2] == ["-m", "pip"]:
        return
    sys.argv = arguments
    # The server of the tests has another port than the one that the document says.
    if arguments[0] == "examples/packaged_video.py":
        sys.argv = [*arguments, "--url", f"{os.environ['DOCUMENTED_SERVER']}/rightsmanager.asmx"]
    sys.path[0] = str(Path(arguments[0]).parent)
    runpy.run_path(arguments[0], run_name="__main__")


PROGRAMS: Final[dict[str, Callable[[list[str]], None]]] = {
    "rightsmanager": _rightsmanager,
    "make": _make,
    "docker": _docker,
    "curl": _curl,
    "gunicorn": _gunicorn,
    "pytest": _pytest,
    "python": _python,
}


def serve(path: Path) -> None:
    """Run each program that is requested in a fork; never returns."""
    # Importing them here is what the forks save.
    from rightsmanager import app, cli  # noqa: PLC0415

    for name in cli.COMMANDS:
        cli.rightsmanager.get_command(click.Context(cli.rightsmanager), name)
    assert app
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        server.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            caller, _ = server.accept()
            with caller:
                if os.fork() == 0:
                    _run(caller)
            reap()


def _run(caller: socket.socket) -> None:
    """Run one program and send its status; never returns."""
    try:
        status = exit_status(partial(_run_request, caller))
        sys.stdout.flush()
        sys.stderr.flush()
        caller.send(bytes([status]))
    finally:
        os._exit(0)


def _run_request(caller: socket.socket) -> None:
    """Run one program as the caller's environment says."""
    request, streams, _, _ = socket.recv_fds(caller, MAX_REQUEST, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    (program, *arguments), folder, environment = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(":"))
    PROGRAMS[program](arguments)


def write_clients(server: Path, folder: Path) -> None:
    """Write a file for each program that passes its call on to the server."""
    folder.mkdir()
    for name in PROGRAMS:
        file = folder / name
        file.write_text(CLIENT.format(python=sys.executable, server=str(server)))
        file.chmod(0o700)


if __name__ == "__main__":
    write_clients(Path(sys.argv[1]), Path(sys.argv[2]))
    serve(Path(sys.argv[1]))
