"""Health, metrics and traces of the server, for operators and their tools."""
