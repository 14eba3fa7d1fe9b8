"""Print the documentation of all parameters, for `docs/parameters.md`."""

import sys

from rightsmanager.inspection.explain.reference import parameters_markdown

if __name__ == "__main__":
    sys.stdout.write(parameters_markdown())
