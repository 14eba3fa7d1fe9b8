"""What tests of several areas share: the vectors, and an environment without anybody's settings."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent / "vectors"


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("RIGHTSMANAGER_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    """Give the vectors of a file by its name."""
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def test_keys(vectors: Callable[[str], Any]) -> dict[str, str]:
    """Content keys of the Test Key Seed in hexadecimal, by KID in base64."""
    return {test["kid"]: test["content_key_hex"] for test in vectors("keyseed")["tests"]}
