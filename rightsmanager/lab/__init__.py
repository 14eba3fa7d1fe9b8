"""The lab: isolated worlds, their clocks and faults, for tests. Imported with `--lab` only."""
