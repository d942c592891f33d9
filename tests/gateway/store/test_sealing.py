"""What is sealed opens at its own place, with its own key, and nowhere else."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.ledger import Ledger
from gateway.store.sealing import BadKek, BadSeal, FileKek, Keys, Sealer, open_keys

KEY = bytes(range(32))
ALGORITHMS = ("aes-256-gcm", "sm4-gcm")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(plain=st.binary(max_size=200), flipped=st.integers(0, 10_000), aad=st.binary(max_size=20))
def test_one_changed_bit_or_place_does_not_open(
    algorithm: str, plain: bytes, flipped: int, aad: bytes
) -> None:
    """Value, place and key belong together."""
    sealer = Sealer(KEY, algorithm)  # type: ignore[arg-type]
    sealed = sealer.seal(plain, aad=aad)
    assert sealer.open(sealed, aad=aad) == plain

    changed = bytearray(sealed)
    changed[flipped // 8 % len(sealed)] ^= 1 << flipped % 8
    with pytest.raises(BadSeal):
        sealer.open(bytes(changed), aad=aad)
    with pytest.raises(BadSeal):
        sealer.open(sealed, aad=aad + b"x")
    with pytest.raises(BadSeal):
        Sealer(bytes(32), algorithm).open(sealed, aad=aad)  # type: ignore[arg-type]


def test_either_algorithm_opens_what_the_other_sealed() -> None:
    """Changing the setting leaves old values readable."""
    aes, sm4 = (Sealer(KEY, a) for a in ALGORITHMS)
    assert sm4.open(aes.seal(b"old", aad=b"p"), aad=b"p") == b"old"
    assert aes.open(sm4.seal(b"new", aad=b"p"), aad=b"p") == b"new"


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x02" + bytes(20), b"\x09" + bytes(40)])
def test_noise_is_a_bad_seal(raw: bytes) -> None:
    """Values that are too short or of another format are refused in the same way."""
    with pytest.raises(BadSeal):
        Sealer(KEY).open(raw, aad=b"")


def test_the_same_value_is_sealed_differently_each_time() -> None:
    """Nobody learns that two values are equal."""
    sealer = Sealer(KEY)
    assert len({sealer.seal(b"same", aad=b"") for _ in range(100)}) == 100


@pytest.mark.parametrize("id_", ["F61"], ids=["F61"])
def test_a_key_file_that_is_not_right_is_refused_in_words(tmp_path: Path, id_: str) -> None:
    """Missing, readable by others, too short: each is said, none is replaced by a new key."""
    assert id_
    path = tmp_path / "kek"
    with pytest.raises(BadKek, match="missing"):
        FileKek.load(path)
    assert not path.exists()

    FileKek.create(path)
    path.chmod(0o644)
    with pytest.raises(BadKek, match="chmod 600"):
        FileKek.load(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(BadKek, match="32 bytes"):
        FileKek.load(path)
    with pytest.raises(BadKek, match="exists already"):
        FileKek.create(path)
    ledger = tmp_path / "ledger.db"
    ledger.touch()
    with pytest.raises(BadKek, match="could not read that ledger"):
        FileKek.create(tmp_path / "other", ledger=ledger)


async def test_a_ledger_knows_its_key(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    """Opened with another key it is refused; with its own, everything derived is the same."""
    again = await open_keys(ledger, FileKek.load(tmp_path / "kek"))
    assert again.subject("gjj-centre", "c1") == keys.subject("gjj-centre", "c1")
    assert again.blind("a") == keys.blind("a")
    with pytest.raises(BadKek, match="does not belong"):
        await open_keys(ledger, FileKek.create(tmp_path / "another"))


async def test_erasing_her_key_erases_the_citizen(keys: Keys) -> None:
    """Each citizen has a key of her own; without it, what was sealed stays shut for good."""
    mine, hers = keys.new_dek(), keys.new_dek()
    sealed = keys.for_citizen(hers).seal("公积金".encode(), aad=b"x")
    assert keys.for_citizen(hers).open(sealed, aad=b"x").decode() == "公积金"
    with pytest.raises(BadSeal):
        keys.for_citizen(mine).open(sealed, aad=b"x")
    with pytest.raises(BadSeal):
        keys.for_citizen(b"")


def test_subjects_tell_departments_nothing_of_each_other() -> None:
    """One citizen has another name at each department, always the same there."""
    keys = Keys(_NoKek(), data=os.urandom(32), index=os.urandom(32), pairwise=KEY)
    names = {keys.subject(d, "c1") for d in ("gjj", "legal", "water")}
    assert len(names) == 3
    assert all(len(n) == 26 and n.isascii() and n == n.lower() for n in names)
    assert keys.subject("gjj", "c1") == keys.subject("gjj", "c1")
    assert keys.subject("gjj", "c1") != keys.subject("gjj", "c2")
    with pytest.raises(ValueError, match="NUL"):
        keys.subject("gjj\0", "c1")


TEXTS = st.lists(st.text(max_size=6), min_size=1, max_size=4)


@pytest.mark.parametrize("id_", ["B37"], ids=["B37"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=TEXTS, two=TEXTS)
@pytest.mark.row("B37")
def test_a_blind_index_never_meets_by_accident(id_: str, one: list[str], two: list[str]) -> None:
    """("a:b", "c") and ("a", "b:c") differ; equal only where the parts are equal (NFC)."""
    assert id_
    keys = Keys(_NoKek(), data=KEY, index=KEY, pairwise=KEY)
    normal = [[unicodedata.normalize("NFC", t) for t in texts] for texts in (one, two)]
    assert (keys.blind(*one) == keys.blind(*two)) == (normal[0] == normal[1])


def test_a_blind_index_takes_texts_only() -> None:
    """1 and "1" must not be taken for one another."""
    keys = Keys(_NoKek(), data=KEY, index=KEY, pairwise=KEY)
    with pytest.raises(TypeError):
        keys.blind(1)  # type: ignore[arg-type]


class _NoKek:
    """A KEK that nothing is wrapped with."""

    def wrap(self, key: bytes, /) -> bytes:
        return key

    def unwrap(self, wrapped: bytes, /) -> bytes:
        return wrapped
