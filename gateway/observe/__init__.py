"""What maintainers see: log, metrics, trace ids, the health board. Never a citizen's data."""
