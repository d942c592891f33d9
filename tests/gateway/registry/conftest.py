"""A publisher over a real ledger, with preparing in a real child."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.clock import OffsetClock
from gateway.registry.gather import gather
from gateway.registry.live import Live
from gateway.registry.publish import Published, Publisher
from gateway.registry.working_copy import WorkingCopy
from gateway.store.ledger import Ledger
from gateway.store.tables import audit
from tests.gateway.registry import samples


@dataclass
class Bench:
    """A folder that admins edit, a ledger, a publisher and whoever follows."""

    folder: Path
    ledger: Ledger
    publisher: Publisher
    copy: WorkingCopy
    clock: OffsetClock
    announced: list[int] = field(default_factory=list)

    @property
    def registry(self) -> Path:
        """The registry file."""
        return self.folder / "service_registry.yaml"

    def text(self) -> str:
        """What stands in it."""
        return self.registry.read_text("utf-8")

    def files(self) -> dict[str, bytes]:
        """The files as they are now."""
        return gather(self.registry, self.folder / "plugins")[0]

    async def publish(self, text: str = "", *, base: int = 0, author: str = "cli:t") -> Published:
        """Publish a text as the registry; there must be nothing wrong with it."""
        done = await self.publisher.publish(
            samples.files(text), base=base, author=author, reason="test"
        )
        assert isinstance(done, Published), done
        return done

    def live(self) -> Live:
        """Another worker."""
        return Live(
            ledger=self.ledger,
            volatile=None,
            clock=self.clock,
            workshop=self.publisher.workshop,
            registry=self.registry,
            plugins=self.folder / "plugins",
        )


@pytest.fixture
def bench(tmp_path: Path, ledger: Ledger, clock: OffsetClock) -> Bench:
    """The usual three entries, watched, nothing published yet."""
    folder, state = tmp_path / "edit", tmp_path / "state"
    folder.mkdir()
    registry = samples.write(folder)
    copy = WorkingCopy(registry, folder / "plugins", state)
    announced: list[int] = []

    async def announce(revision: int) -> None:
        announced.append(revision)

    workshop = samples.workshop(state)
    publisher = Publisher(ledger, clock, workshop, announce, copy)
    return Bench(folder, ledger, publisher, copy, clock, announced)


@pytest.fixture
def names(ledger: Ledger) -> Callable[[], object]:
    """The audit events so far."""

    async def read() -> list[str]:
        found = await ledger.read(
            lambda c: c.execute(select(audit.c.name).order_by(audit.c.seq)).scalars().all()
        )
        return [str(name) for name in found]

    return read
