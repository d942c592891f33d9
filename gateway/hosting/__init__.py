"""Brings plugins to life and calls them safely: outbound transport, limits, recipes, children."""
