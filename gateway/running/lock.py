"""One supervisor for each state folder: a lock the kernel frees, so there is never a stale one."""

import fcntl
import os
from pathlib import Path

import orjson


class AlreadyRuns(Exception):
    """Another supervisor holds this state folder; `str()` is a sentence saying what to do."""


class CannotStart(Exception):
    """Something outside keeps the program from starting; `str()` is a sentence saying what to do."""


def prepare_folder(folder: Path) -> None:
    """Make the state folder, closed to other users.

    Raises:
        CannotStart: it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
