"""The long studies of the book's records. `ddoq record` finds them by the entry points of `pyproject.toml`."""
