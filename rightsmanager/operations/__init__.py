"""What each operation does, in five verbs: open, refuse, decide, record, seal."""
