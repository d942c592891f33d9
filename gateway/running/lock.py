"""One supervisor for each state folder: a lock the kernel frees, so there is never a stale one."""

import fcntl
import os
from pathlib import Path
from typing import Final

import orjson

# Their locks cannot be trusted, and SQLite's log needs memory that processes share.
_SHARES: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "fuse.sshfs", "fuse.glusterfs"}
)


class AlreadyRuns(Exception):
    """Another supervisor holds this state folder; `str()` is a sentence saying what to do."""


class CannotStart(Exception):
    """Something outside keeps the program from starting; `str()` is a sentence saying what to do."""


def prepare_folder(folder: Path) -> None:
    """Make the state folder, closed to other users.

    Raises:
        CannotStart: it cannot be made or written, or is on a network share.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kind := share_of(folder):
            raise CannotStart(
                f"{folder} is a network share ({kind}), on which locks do not hold; set "
                "CITYGATE_STATE_DIR to a folder on a local disk"
            )
        probe = folder / ".writable"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except PermissionError:
        raise CannotStart(
            f"no right to write to {folder}; give the right or set CITYGATE_STATE_DIR to another folder"
        ) from None
    except OSError as error:
        raise CannotStart(
            f"{folder} cannot be written ({error.strerror}); free some space or set "
            "CITYGATE_STATE_DIR to another folder"
        ) from None


def share_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The kind of network share that a folder is on; None on a local disk, or where none can say."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    place, deepest, kind = folder.resolve(), -1, ""
    for line in lines:
        first, _, rest = line.partition(" - ")
        mount = Path(first.split(" ")[4].replace("\\040", " "))
        if place.is_relative_to(mount) and len(mount.parts) >= deepest:
            deepest, kind = len(mount.parts), rest.split(" ")[0]
    return kind if kind in _SHARES else None


def hold(folder: Path, address: str) -> int:
    """Take the folder's lock and write who holds it; keep the descriptor open as long as you run.

    Raises:
        AlreadyRuns: somebody else holds it.
    """
    path = folder / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(path)
        os.close(descriptor)
        raise AlreadyRuns(
            f"Citygate already runs here (process {holder.get('pid', '?')}, "
            f"{holder.get('address', 'address unknown')}); end that one first, or set "
            "CITYGATE_STATE_DIR to another folder"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, orjson.dumps({"pid": os.getpid(), "address": address}), 0)
    return descriptor


def _holder(path: Path) -> dict[str, object]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
