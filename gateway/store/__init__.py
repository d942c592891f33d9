"""Ledger (must survive) and volatile (may be lost)."""
