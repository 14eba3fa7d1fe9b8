"""Rules for every file of the project, and for its locked dependencies."""

import re
import subprocess
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "config" / "requirements").glob("*.txt"))
SELF = Path(__file__).relative_to(ROOT)

# Package indexes are recognised by their paths and by the options that name one.
REGISTRIES = re.compile(
    r"https?://[^ ]*/(?:simple|packages)/|--(?:extra-)?index[-]url|--find[-]links|--trusted[-]host",
    re.IGNORECASE,
)
MACHINE = re.compile(r"(?<![\w./-])/(?:home|root|Users|work|mnt|private)/[\w.-]+|[A-Z]:\\Users")
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{40}")


def tracked() -> list[Path]:
    """Return the tracked files, or all files in an archive without history."""
    if not (ROOT / ".git").exists():
        folders = (ROOT / name for name in ("rightsmanager", "tests", "config", "docs"))
        return [file.relative_to(ROOT) for folder in folders for file in folder.rglob("*.*")]
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"],  # noqa: S607 -- any git will do
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [Path(name) for name in listed.stdout.decode().split("\0") if name]


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    files = [file for file in tracked() if file != SELF and (ROOT / file).is_file()]
    return {file: (ROOT / file).read_bytes().decode("utf-8", "replace") for file in files}


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE, PRIVATE_KEY], ids=lambda p: p.pattern)
def test_no_file_contains_registries_machine_paths_or_private_keys(
    texts: dict[Path, str], pattern: re.Pattern[str]
) -> None:
    found = {str(file): match[0] for file, text in texts.items() if (match := pattern.search(text))}
    assert found == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_is_pinned_and_hashed(lock: Path) -> None:
    text = lock.read_text("utf-8").replace("\\\n", " ")
    required = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert required
    for line in required:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,]+\])?==[^\s;]+", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line


def test_the_locked_packages_for_running_are_locked_for_tests_too() -> None:
    run, test = (
        set(re.findall(r"^[^#\s]+==\S+", lock.read_text("utf-8"), re.MULTILINE))
        for lock in (ROOT / "config/requirements" / name for name in ("run.txt", "test.txt"))
    )
    assert run <= test


def test_dependencies_of_locked_packages_are_locked_except_those_of_cpix() -> None:
    text = (ROOT / "config/requirements/run.txt").read_text("utf-8")
    locked = {canonicalize_name(name) for name in re.findall(r"^([^#\s]+)==", text, re.MULTILINE)}
    for name in sorted(locked & {canonicalize_name(each.name) for each in distributions()}):
        requirements = map(Requirement, requires(name) or ())
        wanted = {
            canonicalize_name(each.name)
            for each in requirements
            if each.marker is None or each.marker.evaluate({"extra": ""})
        }
        assert wanted <= locked or name == "cpix", name


def test_vectors_have_a_source(texts: dict[Path, str]) -> None:
    vectors = [file for file in texts if file.parent.name == "vectors"]
    assert len(vectors) >= 10
    assert [file for file in vectors if not re.search(r'"source": *"[^"]', texts[file])] == []


def test_nothing_of_a_data_folder_is_tracked() -> None:
    endings = {".key", ".chain", ".pub", ".db", ".pem", ".log", ".pyc"}
    assert [file for file in tracked() if file.suffix in endings] == []


def test_the_examples_are_installed_with_what_their_packages_need() -> None:
    found = re.search(r"sed -nE '/\^\(([\w|-]+)\)==/", (ROOT / "Makefile").read_text("utf-8"))
    assert found is not None
    installed = set(found[1].split("|"))
    needed = {
        canonicalize_name(requirement.name)
        for name in installed
        for requirement in map(Requirement, requires(name) or ())
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert needed <= installed
