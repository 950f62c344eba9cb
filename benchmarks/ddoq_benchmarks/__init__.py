"""Benchmarks: the quantizers beside other libraries, the pipeline beside D4M's procedure."""
