"""Every change of the tables, one file each, in the order of their numbers.

A revision is never changed once it is released, and knows nothing of `tables`, which go on.
"""
