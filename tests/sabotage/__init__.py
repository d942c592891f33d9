"""Small breakages that must turn named tests red."""
