"""The registry file and plugin folders on this machine: read, compared, brought forward.

Which revision they were last in step with is noted in the state folder, so that an edit made from
an older one is never taken for an edit of the live one.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import orjson

from gateway.conformance.finding import Finding
from gateway.registry.artefact import write_whole
from gateway.registry.gather import PLUGINS, REGISTRY, gather


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """Where the files stand that admins and departments edit."""

    registry: Path
    plugins: Path
    state: Path

    def read(self) -> tuple[dict[str, bytes], list[Finding]]:
        """As `gather`."""
        return gather(self.registry, self.plugins)

    def place(self, path: str) -> Path:
        """Where a revision's path stands on this machine.

        Raises:
            ValueError: the path leads elsewhere.
        """
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError(f"{path!r} leads elsewhere")
        if path == REGISTRY:
            return self.registry.resolve()
        if path.startswith(PLUGINS):
            return self.plugins.joinpath(*parts[1:])
        return self.registry.parent.joinpath(*parts)

    @property
    def _note(self) -> Path:
        return self.state / "working-copy.json"

    def base(self) -> int | None:
        """The revision that the files were last in step with; None: not known."""
        with suppress(OSError, orjson.JSONDecodeError, KeyError, TypeError):
            noted = orjson.loads(self._note.read_bytes())
            if noted["registry"] == str(self.registry.absolute()):  # a link may be swapped
                return int(noted["revision"])
        return None

    def in_step(self, revision: int) -> None:
        """Note that the files are those of a revision, or an edit of them."""
        if self.base() != revision:
            facts = {"revision": revision, "registry": str(self.registry.absolute())}
            write_whole(self._note, orjson.dumps(facts))

    def bring(self, before: Mapping[str, str], after: Mapping[str, bytes]) -> list[str]:
        """Write what differs between two revisions; leave alone what was edited meanwhile.

        Args:
            before: manifest of the revision that the files should be at.
            after: contents of the one to bring them to.

        Returns:
            Paths that were left because somebody has edited them.
        """
        left = []
        for path in sorted({*before, *after}):
            content = after.get(path)
            new = hashlib.sha256(content).hexdigest() if content is not None else None
            if new == before.get(path):
                continue
            target = self.place(path)
            there = _digest(target)
            if there == new:
                continue
            if there != before.get(path):
                left.append(path)
            elif content is None:
                target.unlink(missing_ok=True)
            else:
                _write(target, content)
        return left

    def write(self, path: str, content: bytes) -> None:
        """Write one file as a whole."""
        _write(self.place(path), content)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _write(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    if not path.parent.exists():
        path.parent.mkdir(parents=True, mode=0o755)
    write_whole(path, content)
    path.chmod(mode)
