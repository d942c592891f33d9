"""What all tests share."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio only: the gateway runs on nothing else."""
    return "asyncio"
