"""Log, metrics, trace, health."""
