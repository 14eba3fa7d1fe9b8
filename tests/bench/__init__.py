"""Benchmarks: the cost of a licence as a ratio to that of OpenSSL alone, in one run."""
