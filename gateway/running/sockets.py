"""A short private folder for unix sockets: their paths end at 107 bytes, state folders do not."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from gateway.running.lock import CannotStart


def socket_folder(state: Path) -> Path:
    """The folder for the sockets of one state folder: the same one at every start, mode 0700.

    In `$XDG_RUNTIME_DIR`, else in the temporary folder, named by a digest of the state folder's
    real path.

    Raises:
        CannotStart: it cannot be made, or somebody else made it before us.
    """
    digest = hashlib.blake2b(os.fsencode(state.resolve()), digest_size=8).hexdigest()
    above = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = bool(above) and os.access(above, os.W_OK | os.X_OK)
    base = Path(above if usable else tempfile.gettempdir())
    folder = base / f"citygate-{os.getuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
    except OSError as error:
        raise CannotStart(f"{folder} cannot be made ({error.strerror})") from None
    # In a shared temporary folder somebody else could have put theirs, or a link, under our name.
    mine = stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid()
    if not mine or stat.S_IMODE(info.st_mode) & 0o077:
        raise CannotStart(f"{folder} is not ours alone; remove it, or set XDG_RUNTIME_DIR")
    return folder
