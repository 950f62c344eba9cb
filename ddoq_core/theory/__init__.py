"""What the statements of the paper are checked with: test measures, optimal transport."""
