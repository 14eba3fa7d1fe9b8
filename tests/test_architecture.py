"""Laws of imports: one direction, one room per library, and nothing is read at import."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rightsmanager"

MAY_IMPORT = {
    "errors": "",
    "crypto": "errors",
    "protocol": "errors crypto",
    "files": "errors",
    "keyring": "errors files crypto protocol",
    "policy": "errors crypto protocol",
    "store": "errors crypto protocol",
    "device": "errors files crypto protocol",
    "inspection": "errors crypto protocol policy",
    "hooks": "errors files crypto protocol policy",
    "journal": "errors crypto protocol policy store hooks inspection",
    "operations": "errors crypto protocol keyring policy store hooks",
    "admin": "errors files crypto protocol keyring policy store hooks operations",
    "soap": "errors crypto protocol keyring policy store hooks operations",
    "monitoring": "errors crypto protocol keyring store hooks",
    "lab": "errors files crypto protocol keyring store journal hooks operations admin world_paths",
    "web": "errors hooks lab files inspection crypto protocol keyring policy store journal"
    " operations admin settings settings_loading world_paths",
    "assembly": "errors files crypto protocol keyring policy store journal operations settings",
    "serving": "errors logs settings environment web monitoring",
    "testing": "errors files crypto protocol keyring device",
    "conformance": "errors files crypto protocol device testing",
    "charts": "",
    "setting_types": "errors protocol",
    "settings": "protocol setting_types",
    "settings_loading": "errors environment settings",
    "environment": "errors files",
    "logs": "errors settings",
    "world_paths": "",
}
"""The rooms that each room may import; `app` and its starters may import everything."""
PROTOCOL_MAY_IMPORT = {
    "wire": "",
    "xml": "wire",
    "formats": "wire xml",
    "messages": "wire xml formats",
}
"""The same for the floors of `protocol`."""
EVERYTHING = {"__init__", "__main__", "app", "cli", "operators", "server", "worlds", "wsgi"}

DOORS = {
    "spyne": "soap",
    "sqlalchemy": "store",
    "alembic": "store",
    "psycopg": "store",
    "sqlite3": "device store",
    "lxml": "soap protocol",
    "cryptography": "crypto",
    "gmpy2": "crypto",
    "ctypes": "crypto",
    "jinja2": "web",
    "flask": "web",
    "flask_openapi3": "web",
    "werkzeug": "web",
    "gunicorn": "serving",
    "click": "cli",
    "rich": "cli",
    "pydantic": "setting_types settings settings_loading web",
    "structlog": "logs soap web",
    "jwt": "hooks",
    "urllib3": "hooks",
    "cpix": "protocol",
    "matplotlib": "charts",
    "prometheus_client": "monitoring",
    "opentelemetry": "monitoring",
    "pytest": "testing",
}
"""The rooms that may import each library; `inspection` uses lxml through `protocol`."""

READERS = {"open", "input", "os.getenv", "os.environ.get", "time.time", "time.monotonic"}
READERS |= {"os.getcwd", "Path.cwd", "Path.home", "datetime.now", "uuid.uuid4", "os.urandom"}
READING_METHODS = {"read_text", "read_bytes", "is_file", "getcwd"}

PATHS = sorted(file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    # Parsed by the tests, and not while they are collected, which each worker does.
    return ast.parse((PACKAGE / path).read_text("utf-8"))


def part(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            own = module == "rightsmanager"
            yield from (f"{module}.{alias.name}" for alias in node.names) if own else [module]


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node that is evaluated when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from run_at_import(child)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_module_keeps_the_laws(path: Path) -> None:
    here, tree = part(path), tree_of(path)
    assert here in EVERYTHING or here in MAY_IMPORT, f"{here} has no place in the house"
    for name in imported(tree):
        library, _, rest = name.partition(".")
        if library == "rightsmanager":
            known = rest.partition(".")[0]
            allowed = {here, "__version__", *MAY_IMPORT.get(here, "").split()}
            assert here in EVERYTHING or known in allowed, f"{path} imports {name}"
        assert here in DOORS.get(library, here).split(), f"{path} imports {name}"
    for node in run_at_import(tree):
        call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        read = call in READERS or call.rpartition(".")[2] in READING_METHODS
        assert not read, f"{path} calls {call} at import"
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ"), path


@pytest.mark.parametrize("path", [p for p in PATHS if part(p) == "protocol"], ids=str)
def test_protocol_imports_its_lower_floors_only(path: Path) -> None:
    floor = path.parts[1].removesuffix(".py")
    allowed = {"errors", "crypto", *PROTOCOL_MAY_IMPORT.get(floor, "").split(), floor}
    for name in imported(tree_of(path)):
        room, _, rest = name.removeprefix("rightsmanager.").partition(".")
        if name.startswith("rightsmanager."):
            known = rest.partition(".")[0] if room == "protocol" else room
            assert known in allowed, f"{path} imports {name}"


def test_the_parts_of_the_houses_sentence_are_there() -> None:
    assert {"app", "soap", "operations", "store", "crypto"} <= {part(path) for path in PATHS}
