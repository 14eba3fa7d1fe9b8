"""Gunicorn: its options, made of our settings, and the worker that serves requests."""
