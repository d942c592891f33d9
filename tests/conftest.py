"""What all tests share."""

import pytest

LAST = "test_the_whole_run_left_no_personal_value"  # what it looks at must have happened


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio only: the gateway runs on nothing else."""
    return "asyncio"


@pytest.fixture
def numbered() -> None:
    """What the marker `row` parametrizes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Put the numbers of the marker `row` into the test's id."""
    numbers = [str(one) for mark in metafunc.definition.iter_markers("row") for one in mark.args]
    if numbers:
        metafunc.fixturenames.append("numbered")
        metafunc.parametrize("numbered", [None], ids=["-".join(numbers)])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The search for leaks runs at the end, in whatever order all others do."""
    items.sort(key=lambda item: item.name.startswith(LAST))
