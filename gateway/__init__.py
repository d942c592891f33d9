"""Citygate: one gateway for every government service of a city."""
