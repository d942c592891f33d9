"""Gate states, feed, copies, search."""
