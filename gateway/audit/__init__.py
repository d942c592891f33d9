"""Events and the hash-chained trail."""
