"""Prints the documentation of all parameters: what `docs/parameters.md` is made with."""

import sys

from rightsmanager.inspection.explain.reference import parameters_markdown

if __name__ == "__main__":
    sys.stdout.write(parameters_markdown())
