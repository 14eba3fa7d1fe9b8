"""What the server remembers: one transaction per operation, committed before the reply."""
