"""A state folder of this release, and of every one before it, is opened and nothing is missing."""

from pathlib import Path

import pytest

from tests import city, kept
from tests.city import ROOT

OLDER = sorted(kept.FOLDER.glob("*.tar.xz"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("archive", [None, *OLDER], ids=lambda one: one.stem if one else "today")
def test_a_kept_state_folder_opens(archive: Path | None, tmp_path: Path) -> None:
    """Consents hold, the report is there, revisions and trail are whole; she has only to sign in."""
    facts = kept.unpack(archive or kept.pack(tmp_path / "today.tar.xz"), tmp_path)
    with city.running(tmp_path, CITYGATE_REGISTRY=str(ROOT / "service_registry.yaml")) as running:
        person = running.person()
        person.sign_in("li-wei")
        states = {one: person.card(one)["state"]["code"] for one in kept.AGREED}
        assert "needs_consent" not in states.values(), states
        assert person.card("legal")["state"]["code"] == "needs_consent"
    now = kept.told(tmp_path)
    assert now["trail"] == facts["trail"]
    assert now["revisions"][-len(facts["revisions"]) :] == facts["revisions"]
    assert len(facts["revisions"]) >= 3
    assert facts["feedback"].encode() in (tmp_path / "state" / "ledger.db").read_bytes()
