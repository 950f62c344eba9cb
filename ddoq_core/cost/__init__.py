"""What a run costs, estimated before it and measured after it."""
