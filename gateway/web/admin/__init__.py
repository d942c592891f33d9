"""The consoles: few pages, but real."""
