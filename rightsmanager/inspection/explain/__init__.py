"""Which licences would that URL give? What a request asks, told without a challenge.

`questions` finds out what somebody has in hand, `explanation` answers, `warnings` says what the
server gives and a client has no use for, `reference` is the documentation of all parameters.
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
