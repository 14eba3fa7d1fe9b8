"""Models of the management API."""

import importlib
import pkgutil
from collections import Counter

from pydantic import BaseModel

from rightsmanager.web import api


def test_each_model_has_a_name_of_its_own() -> None:
    # OpenAPI's schemas are named after the classes: of two with one name, the later one is lost.
    named: Counter[str] = Counter()
    for found in pkgutil.iter_modules(api.__path__, f"{api.__name__}."):
        module = importlib.import_module(found.name)
        named.update(
            name
            for name, each in vars(module).items()
            if isinstance(each, type)
            and issubclass(each, BaseModel)
            and each.__module__ == found.name
        )
    assert named
    assert [name for name, count in named.items() if count > 1] == []
