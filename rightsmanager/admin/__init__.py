"""What an operator does, as opposed to what devices ask for."""
