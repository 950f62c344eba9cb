"""A run: Algorithm 4 and its evaluation for one profile, and the students that it trains."""
