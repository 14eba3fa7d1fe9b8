"""Hooks for an operator's own logic, and two that are ready to use: `token` and `key_server`."""
