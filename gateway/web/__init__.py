"""Thin: HTTP in, values out."""
