"""The command line: citygate …."""
