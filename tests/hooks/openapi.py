"""The description of the HTTP hook, and the check of documents against it."""

import json
from collections.abc import Mapping
from typing import Any

from openapi_schema_validator import OAS31Validator, oas31_format_checker

from tests.docs.documents import ROOT

DESCRIPTION: Mapping[str, Any] = json.loads((ROOT / "docs" / "hooks.openapi.json").read_text())


def errors_of(document: object, *names: str) -> list[str]:
    """Return the errors of a document by the schemas of which it must have one."""
    schema = {
        "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in names],
        "components": DESCRIPTION["components"],
    }
    validator = OAS31Validator(schema, format_checker=oas31_format_checker)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


ANSWERS = ("Allow", "Refuse")
