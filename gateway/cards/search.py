"""Find services and functions by what people type: names, words of life, pinyin, initials, typos.

Keys are made at prepare, entry by entry, and kept in the generation; workers hold them in lists and
never load the pinyin tables.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

import orjson
from rapidfuzz import fuzz, process

from gateway.contract.ids import ServiceId
from gateway.contract.manifest import Function, Text
from gateway.registry.entry import Entry
from gateway.registry.generation import DraftGeneration, Generation
from gateway.words.loader import Language

BLOB: Final = "search"
_LONGEST: Final = 60  # characters of a query
_WORDS: Final = 4
_HITS: Final = 100
_ENOUGH: Final = 80.0  # a find as good as this needs no guessing
_CLOSE: Final = 60.0  # one wrong character of three
_CLOSE_LETTERS: Final = 80.0
_SPACES: Final = re.compile(r"[\s·・,，.。、;；:：!！?？()（）\[\]【】\"'“”‘’/\\|_-]+")
_HAN: Final = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")


class _Kind(IntEnum):
    """How a key was made."""

    ZH = 0
    EN = 1
    PINYIN = 2
    INITIALS = 3


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing found; `function` None: the service itself."""

    service: ServiceId
    function: str | None
    score: float


# ---- at prepare


def prepared(draft: DraftGeneration) -> bytes:
    """The blob "search": the keys of every entry, taken over where the entry is the same."""
    targets: list[list[str | None]] = []
    lists: dict[str, list[int | str]] = {"kinds": [], "weights": [], "keys": [], "owners": []}
    for name in draft.services:
        content = draft.remember("search", name, _keys_of)
        service, own, functions = orjson.loads(content) if content else (name, [], [])
        for function, keys in [(None, own), *functions]:
            for kind, weight, key in keys:
                lists["kinds"].append(kind)
                lists["weights"].append(weight)
                lists["keys"].append(key)
                lists["owners"].append(len(targets))
            targets.append([service, function])
    return orjson.dumps({"targets": targets, **lists})


def _keys_of(entry: Entry) -> bytes:
    """One entry's keys: service, then for it and each function a list of [kind, weight, key]."""
    own = _keys(_named(entry.short, 100), _named(entry.name, 100), _said(entry.aliases, 96))
    own += _keys(_named(entry.owner.name, 70), _said([entry.item_code or ""], 90))
    functions = [[function.id, _function_keys(entry, function)] for function in entry.functions]
    return orjson.dumps([entry.id, own, functions])


def _function_keys(entry: Entry, function: Function) -> list[list[int | str]]:
    both = Text(
        zh=f"{entry.short.zh}{function.name.zh}"[:400],
        en=f"{entry.short.en} {function.name.en}"[:800],
    )
    names = _keys(_named(function.name, 98), _said(function.aliases, 95), _named(both, 97))
    return names + _keys(_said([function.item_code or ""], 90))


_Said = Iterable[tuple[int, str]]


def _named(text: Text, weight: int) -> _Said:
    return [(weight, text.zh), (weight, text.en)]


def _said(texts: Iterable[str], weight: int) -> _Said:
    return [(weight, text) for text in texts]


def _keys(*groups: _Said) -> list[list[int | str]]:
    found: dict[tuple[int, str], int] = {}
    for group in groups:
        for weight, text in group:
            for kind, key in _forms(text):
                found[kind, key] = max(weight, found.get((kind, key), 0))
    return [[kind, weight, key] for (kind, key), weight in found.items()]


def _forms(text: str) -> Iterator[tuple[int, str]]:
    plain = folded(text)
    if not plain:
        return
    if not _HAN.search(plain):
        yield _Kind.EN, plain
        return
    whole, initials = _spelled(plain)
    yield _Kind.ZH, plain
    yield _Kind.PINYIN, whole
    yield _Kind.INITIALS, initials


@lru_cache(maxsize=8192)
def _spelled(text: str) -> tuple[str, str]:
    """A text in pinyin without tones, and the initials of its syllables."""
    from pypinyin import lazy_pinyin  # noqa: PLC0415 - its tables are large and needed at prepare only

    syllables = [s for s in lazy_pinyin(text, errors="default") if s]
    return "".join(syllables), "".join(s[0] for s in syllables)


def folded(text: str) -> str:
    """A text as keys are compared: one width, one case, without spaces and signs."""
    return _SPACES.sub("", unicodedata.normalize("NFKC", text)).casefold()


# ---- in workers


class _Index:
    """The keys of one generation, as lists beside each other."""

    def __init__(self, blob: bytes | None) -> None:
        said = orjson.loads(blob) if blob else {}
        self.targets: list[tuple[ServiceId, str | None]] = said.get("targets", [])
        self.kinds: list[int] = said.get("kinds", [])
        self.weights: list[int] = said.get("weights", [])
        self.keys: list[str] = said.get("keys", [])
        self.owners: list[int] = said.get("owners", [])

    def scores(self, word: str, language: Language) -> dict[int, float]:
        """How well each target answers one word; targets that do not answer are absent."""
        found: dict[int, float] = {}
        liked = _Kind.EN if language == "en" else _Kind.ZH
        for at in [at for at, key in enumerate(self.keys) if word in key or key in word]:
            kind, owner = self.kinds[at], self.owners[at]
            score = _literal(word, self.keys[at], kind)
            if score:
                score = score * self.weights[at] / 100 + (1 if kind == liked else 0)
                if score > found.get(owner, 0.0):
                    found[owner] = score
        if not found or max(found.values()) < _ENOUGH:
            for owner, score in self._guessed(word):
                found[owner] = max(score, found.get(owner, 0.0))
        return found

    def _guessed(self, word: str) -> Iterator[tuple[int, float]]:
        if len(word) < 3:  # noqa: PLR2004 - of two characters one wrong says nothing
            return
        han = bool(_HAN.search(word))
        cutoff = _CLOSE if han else _CLOSE_LETTERS
        near = process.extract(word, self.keys, scorer=fuzz.ratio, score_cutoff=cutoff, limit=_HITS)
        for _, ratio, at in near:
            if han == (self.kinds[at] == _Kind.ZH) and self.kinds[at] != _Kind.INITIALS:
                yield self.owners[at], ratio * 0.6 * self.weights[at] / 100


def _literal(word: str, key: str, kind: int) -> float:
    """A score 0-100 without guessing."""
    if word == key:
        return 90.0 if kind == _Kind.INITIALS else 100.0
    if kind == _Kind.INITIALS:
        return 78.0 if len(word) > 1 and key.startswith(word) else 0.0
    if key.startswith(word):
        return 92.0 - min(len(key) - len(word), 10) * 0.5
    least = 1 if kind == _Kind.ZH else 3
    if len(word) >= least and word in key:
        return 80.0 - min(len(key) - len(word), 10) * 0.5
    if len(key) > least and key in word:
        return 55.0 + 20.0 * len(key) / len(word)
    return 0.0


class Search:
    """Searches the generation that is live at the time."""

    def __init__(self, source: Generation | Callable[[], Generation]) -> None:
        """Take a generation, or how to get the live one."""
        self._source = source
        self._built: tuple[Generation, _Index] | None = None

    def find(
        self,
        text: str,
        language: Language,
        limit: int,
        *,
        within: Collection[ServiceId] | None = None,
    ) -> list[Hit]:
        """The best hits, best first; all of several words must be answered.

        Args:
            text: what somebody typed; only its first 60 characters and four words count.
            language: whose words weigh a little more.
            limit: how many at most.
            within: only these services (those that the viewer may see); None: all, hidden ones too.
        """
        words = [w for w in (folded(p) for p in text[:_LONGEST].split()) if w][:_WORDS]
        if not words:
            return []
        index = self._index()
        whole = "".join(words)
        scores = index.scores(whole, language)
        if len(words) > 1:
            for owner, score in _all_of(index, words, language).items():
                scores[owner] = max(score, scores.get(owner, 0.0))
        best = sorted(scores, key=lambda owner: (-scores[owner], owner))
        hits: list[Hit] = []
        for owner in best:
            service, function = index.targets[owner]
            if within is None or service in within:
                hits.append(Hit(service, function, round(scores[owner], 1)))
            if len(hits) >= min(limit, _HITS):
                break
        return hits

    def _index(self) -> _Index:
        generation = self._source if isinstance(self._source, Generation) else self._source()
        if self._built is None or self._built[0] is not generation:
            self._built = generation, _Index(generation.blob(BLOB))
        return self._built[1]


def _all_of(index: _Index, words: list[str], language: Language) -> dict[int, float]:
    """Targets that answer every word, by their weakest answer."""
    found = index.scores(words[0], language)
    for word in words[1:]:
        more = index.scores(word, language)
        found = {owner: min(s, more[owner]) for owner, s in found.items() if owner in more}
    return found
