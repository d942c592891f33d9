"""The state folder: on a local disk, writable, held by one."""

import os
from pathlib import Path

import pytest

from gateway.running import lock

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:50 / {folder} rw,relatime - {kind} office:/export rw
41 22 0:51 / {folder}/local\\040disk rw,relatime - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(("kind", "share"), [("nfs4", "nfs4"), ("cifs", "cifs"), ("xfs", None)])
def test_a_network_share_is_known(tmp_path: Path, kind: str, share: str | None) -> None:
    """By the deepest mount above the folder; what is mounted below it does not matter."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(folder=tmp_path / "state", kind=kind))
    assert lock.share_of(tmp_path / "state" / "citygate", mounts) == share
    assert lock.share_of(tmp_path / "state" / "local disk" / "citygate", mounts) is None
    assert lock.share_of(tmp_path / "elsewhere", mounts) is None
    assert lock.share_of(tmp_path, tmp_path / "none") is None


def test_a_network_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence that says what to do; nothing is kept where locks do not hold."""
    monkeypatch.setattr(lock, "share_of", lambda _folder: "nfs4")
    with pytest.raises(lock.CannotStart, match=r"network share.*CITYGATE_STATE_DIR"):
        lock.prepare_folder(tmp_path / "state")
    assert list((tmp_path / "state").iterdir()) == []


def test_a_second_one_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    """Process and address of the first; its end frees the folder."""
    lock.prepare_folder(tmp_path)
    held = lock.hold(tmp_path, "http://localhost:8080")
    with pytest.raises(lock.AlreadyRuns, match=rf"process {os.getpid()}, http://localhost:8080"):
        lock.hold(tmp_path, "http://localhost:9090")
    os.close(held)
    os.close(lock.hold(tmp_path, "http://localhost:9090"))
