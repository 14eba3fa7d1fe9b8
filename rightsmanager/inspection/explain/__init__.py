"""Explanation of a request without a challenge: the licences that it would get.

`questions` reads the input, `explanation` decides on it, `warnings` lists what clients refuse or
ignore, and `reference` documents all parameters.
"""

from rightsmanager.inspection.explain.explanation import Defaults, Explanation, Translation, explain
from rightsmanager.inspection.explain.forms import explain_form
from rightsmanager.inspection.explain.questions import Question, find_question
from rightsmanager.inspection.explain.reference import Row, parameter_rows, parameters_markdown

__all__ = [
    "Defaults",
    "Explanation",
    "Question",
    "Row",
    "Translation",
    "explain",
    "explain_form",
    "find_question",
    "parameter_rows",
    "parameters_markdown",
]
