"""Tools to check the statements of the paper: test measures, exact processes, constants, optimal transport."""
