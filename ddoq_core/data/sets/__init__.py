"""The data sets: each is a file that defines SIZES and load, and has the name of the file."""
