"""The book's own code: its figures, tables and experiments, one folder for each chapter."""
