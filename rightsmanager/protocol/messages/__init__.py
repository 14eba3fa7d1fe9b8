"""The messages of the nine operations."""
