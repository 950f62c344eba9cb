"""Distilled folders from other programs: read, trained on, scored."""
