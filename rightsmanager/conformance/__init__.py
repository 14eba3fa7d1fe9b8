"""Conformance of clients: scenarios that a client goes through, and grades of what it did.

    from rightsmanager.conformance.running import run
    from rightsmanager.conformance.scenarios import SCENARIOS

The scenarios run in a world of a server with `--lab`. The world's journal has everything that the
client sent, and each verdict names its entries. docs/conformance.md describes this package.
"""
