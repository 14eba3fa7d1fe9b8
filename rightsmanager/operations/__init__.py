"""The nine operations, each in five steps: open, refuse, decide, record, seal."""
