"""A moment, a default policy, and explanations by them."""

from collections.abc import Callable
from typing import Any

import pytest

from rightsmanager.inspection import Description
from rightsmanager.inspection.explanation import Defaults, Explanation, explain
from rightsmanager.inspection.questions import Question
from rightsmanager.policy.grants import Policy

NOW = 1790000000
"""2026-09-21 13:33:20 UTC."""

Explaining = Callable[..., Explanation]


def explained(query: str = "", default: Policy | None = None, **more: Any) -> Explanation:  # noqa: ANN401 -- fields of Question
    return explain(Question(query=query, **more), Defaults(default or Policy()), NOW)


@pytest.fixture(name="explained")
def explained_fixture() -> Explaining:
    return explained


def names(description: Description) -> list[str]:
    """Give the names of a licence's own facts."""
    return [child.name for child in description.children]


@pytest.fixture(name="names")
def names_fixture() -> Callable[[Description], list[str]]:
    return names
