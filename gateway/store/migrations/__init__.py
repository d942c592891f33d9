"""Alembic's steps; see `gateway.store.schema`."""
