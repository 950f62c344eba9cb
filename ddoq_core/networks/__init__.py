"""Classifiers by name, and the loop that fits a network."""
