"""Results of runs: records and their intervals, tables, and the long studies that the book reads."""
