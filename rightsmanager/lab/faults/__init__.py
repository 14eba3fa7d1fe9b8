"""Faults on demand: the same server with one bad part, for chosen requests of a world.

`fault` has the frozen value and its JSON, `toxics` the table of kinds, `counts` the counters that
all workers share, `choosing` finds the faults for a request, `injection` carries them out. The
effects are in `refusals`, `licensing`, `signing` and `older` (the operation), `altering` (the
reply's bytes) and `delivery` (the connection).
"""
