"""The long studies whose records the book reads: `ddoq record` finds them by the entry points of `pyproject.toml`."""
