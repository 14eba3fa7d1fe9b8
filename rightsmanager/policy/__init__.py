"""From requests to grants: parameters in four spellings, and the objects of a licence."""
