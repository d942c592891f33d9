"""The registry's life: document, findings, entries, revisions, the live generation."""
