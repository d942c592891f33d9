"""Recipes: back ends described by data, run in the worker."""
