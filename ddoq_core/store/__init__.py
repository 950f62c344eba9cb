"""Artifacts on disk: made once, keyed by content, verified, resumed after any interruption."""
