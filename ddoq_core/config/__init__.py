"""Parameters: every knob of a run, and the profiles that ship with the package."""
