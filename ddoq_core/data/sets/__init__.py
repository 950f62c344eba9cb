"""The data sets: a file that defines SIZES and load is one, named by the file."""
