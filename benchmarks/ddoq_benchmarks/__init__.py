"""Benchmarks: the quantizers compared with other libraries, and the pipeline with D4M's procedure."""
