"""What citizens hand in: feedback now."""
