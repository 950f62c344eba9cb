"""Distilled folders that other programs made: read, trained on, scored."""
