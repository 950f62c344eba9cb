"""The cost of a run, estimated in advance and measured afterwards."""
