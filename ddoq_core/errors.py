"""What the user can mend: one line that names the thing and the mend, exit code 2 on the command line."""


class InputError(ValueError):
    """Bad input: an unknown parameter, an empty class, a missing or damaged file, a full disk."""
