"""The changes of the tables, a file each in `versions`, in the order of their numbers.

A released revision never changes, and does not depend on `tables`, which do.
`python -m rightsmanager.store.migrations NAME` writes the next one.
"""
