"""The store of the server: one transaction for each operation, committed before the reply."""
