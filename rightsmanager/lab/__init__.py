"""The lab: worlds, which are servers of their own for tests, their clocks and faults."""
