"""The rules a plugin is held to, and the kit that checks."""
