"""A command imports only what it needs: start-up is most of its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


LIBRARIES = {
    *("alembic", "cpix", "cryptography", "flask", "gmpy2", "gunicorn", "jinja2", "lxml"),
    *(
        "matplotlib",
        "opentelemetry",
        "prometheus_client",
        "pydantic",
        "rich",
        "spyne",
        "sqlalchemy",
        "structlog",
        "werkzeug",
    ),
}
PROGRAM = """
import sys
from rightsmanager.cli import main
try:
    main()
finally:
    sys.stderr.write("\\n" + " ".join(sys.modules))
"""
KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"


def loaded(*arguments: str) -> tuple[set[str], set[str]]:
    """Return the libraries and the parts of the project that a command imports."""
    environment = {name: value for name, value in os.environ.items() if "RIGHTSMANAGER" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = ran.stderr.splitlines()[-1].split()
    libraries = {module.partition(".")[0] for module in modules}
    ours = [module.split(".") for module in modules if module.startswith("rightsmanager.")]
    return libraries & LIBRARIES, {names[1] for names in ours}


SETTINGS = ("setting_types", "settings", "settings_loading")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder on SQLite, made in a process of its own."""
    folder = tmp_path_factory.mktemp("imports") / "data"
    loaded("init", "--data", str(folder), "--seed", "imports")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("device", "--help"), ("metering", "--help")],
    ids=" ".join,
)
def test_help_imports_no_library_but_click(arguments: tuple[str, ...]) -> None:
    assert loaded(*arguments) == (set(), {"cli", "errors"})


@pytest.mark.parametrize("arguments", [("content", "list"), ("content", "list", "--json")])
def test_a_list_imports_settings_and_store(folder: Path, arguments: tuple[str, ...]) -> None:
    libraries, parts = loaded(*arguments, "--data", str(folder))
    assert libraries - {"rich"} == {"pydantic", "sqlalchemy"}
    assert ("rich" in libraries) == ("--json" not in arguments)
    assert parts == {
        "admin",
        "cli",
        "environment",
        "errors",
        "files",
        "protocol",
        *SETTINGS,
        "store",
    }


@pytest.mark.parametrize("arguments", [("journal", "list"), ("journal", "list", "--json")])
def test_the_journal_imports_settings_and_store(folder: Path, arguments: tuple[str, ...]) -> None:
    libraries, parts = loaded(*arguments, "--data", str(folder))
    assert libraries - {"rich"} == {"pydantic", "sqlalchemy"}
    assert parts == {
        *("cli", "environment", "errors", "files", "journal", "protocol", "store"),
        *SETTINGS,
    }


def test_a_device_imports_neither_server_nor_store(folder: Path, tmp_path: Path) -> None:
    device = str(tmp_path / "device")
    libraries, parts = loaded("device", "new", "--data", str(folder), device)
    assert libraries <= {"cryptography", "gmpy2", "lxml"}
    assert parts <= {
        *(
            "cli",
            "crypto",
            "device",
            "environment",
            "errors",
            "files",
            "keyring",
            "policy",
            "protocol",
        ),
    }
    for command in ("show", "licenses", "domains"):
        libraries, parts = loaded("device", command, "--device", device, "--json")
        assert libraries <= {"cryptography", "gmpy2", "lxml"}
        assert not parts & {"store", "settings", "assembly", "app", "soap", "web", "operations"}


SEVERAL = """
import json, sys
from rightsmanager.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["rightsmanager", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, arguments
    names = {name.partition(".")[0] for name in sys.modules}
    ours = {name.split(".")[1] for name in sys.modules if name.startswith("rightsmanager.")}
    found = names & {"alembic", "flask", "gunicorn", "jinja2", "matplotlib", "spyne"}
    found |= ours & {"app", "soap", "web", "wsgi"}
    assert not found, (arguments, found)
"""
COMMANDS = (
    ("keys",),
    ("domain", "list"),
    ("metering", "list"),
    ("streams", "list"),
    ("revocations",),
    ("header", "make", KID),
    ("explain", "cfg=(persist:true)"),
)


def test_only_serve_imports_the_server(folder: Path) -> None:
    # One after the other in a process, which takes a seventh of the time.
    given = [[*each, "--data", str(folder)] for each in COMMANDS]
    ran = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps(given)],
        env={name: value for name, value in os.environ.items() if "RIGHTSMANAGER" not in name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


BUILD = """
import json, sys
from pathlib import Path
from rightsmanager.app import build
from rightsmanager.server import Runtime
from rightsmanager.settings_loading import load
build(load(None, data=Path(sys.argv[1])), Runtime())
unwanted = ("rightsmanager.lab", "urllib3")
print(json.dumps([name for name in sys.modules if name.startswith(unwanted)]))
"""


def test_a_server_imports_nothing_for_worlds_and_back_ends_that_it_does_not_have(
    folder: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        env={name: value for name, value in os.environ.items() if "RIGHTSMANAGER" not in name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
