"""`python -m ddoq_core` is the `ddoq` command."""

from .cli import main

if __name__ == "__main__":
    main()
