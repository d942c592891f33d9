"""What a department's answer to one call means: its document, or a failure by the recipe's rules.

Order: the first error rule that matches; then the status; then what the reading itself refused;
then the call's checks. Rules and checks see the unwrapped document, SOAP faults the outer one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from lxml import etree

from gateway.contract.answer import Empty
from gateway.contract.block import seconds
from gateway.contract.failure import AskCitizen, CallOwner, Failure, ShowLast, TryAgain
from gateway.contract.recipe import Call, ErrorRule, Read, Test
from gateway.hosting.draft import Charset
from gateway.hosting.failures import BadCredentials, NoAnswer
from gateway.hosting.outbound import Received
from gateway.hosting.outcome import Reason
from gateway.hosting.recipes.decode import decoded, document
from gateway.hosting.recipes.expressions import Expression, Tested, compiled, pattern, tested

GOOD: Final = (200, 201, 202, 203, 204)
MAX_AFTER: Final = 3600.0
_LAST_SIGN: Final = 500


class SaidEmpty(Exception):
    """The department said that it has no record."""

    def __init__(self, answer: Empty) -> None:
        super().__init__(answer.reason)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled error rule."""

    spec: ErrorRule
    status: frozenset[int]
    test: Tested | None
    fault: Any = None  # RE2 of a SOAP fault's text

    def matches(self, status: int, inner: Any, fault: tuple[str, str] | None) -> bool:
        """Whether everything that the rule names is so."""
        if self.spec.timeout:
            return False
        if self.status and status not in self.status:
            return False
        if self.test is not None and (inner is None or not self.test.holds(inner)):
            return False
        return self.spec.soap_fault is None or (fault is not None and self._fault(*fault))

    def _fault(self, code: str, text: str) -> bool:
        wanted = self.spec.soap_fault
        if wanted is None or (wanted.code is not None and wanted.code != code):
            return False
        return self.fault is None or self.fault.fullmatch(text) is not None

    def failure(self, after: float | None, *, credentials: bool) -> Failure | SaidEmpty:
        """What it says the answer means."""
        spec = self.spec
        match spec.then:
            case "try_again":
                return TryAgain(
                    after=seconds(spec.after) if spec.after else after, words=spec.words
                )
            case "show_last":
                return ShowLast(words=spec.words)
            case "call_owner":
                kind = BadCredentials if credentials else CallOwner
                return kind(
                    what=f"an error of its own ({spec.words or 'no words'})", words=spec.words
                )
            case "ask_citizen":
                return AskCitizen(need=spec.need, words=spec.words)
            case "empty":
                return SaidEmpty(Empty(reason=spec.reason, words=spec.words))


@dataclass(frozen=True, slots=True)
class Answers:
    """How one call's answers are read."""

    name: str
    call: Call
    charset: Charset
    rules: tuple[Rule, ...]
    checks: tuple[Tested, ...]
    keep: Mapping[str, Expression]
    unwrap: Expression | None

    @property
    def language(self) -> Read:
        """In which language expressions over its document are written."""
        return self.call.unwrap.as_ if self.call.unwrap else self.call.read

    def read(self, got: Received, now: datetime) -> tuple[Any, dict[str, str]]:
        """The document of an answer and what is kept of it for later calls.

        Raises:
            Failure, SaidEmpty: what the answer means, when it is no data.
        """
        outer, refused = self._outer(got)
        fault = soap_fault(outer)
        inner, refused = self._inner(outer, refused)
        after = retry_after(got.headers.get("retry-after"), now)
        credentials = got.status in (401, 403)
        for rule in self.rules:
            if rule.matches(got.status, inner, fault):
                raise rule.failure(after, credentials=credentials)
        _by_status(got.status, after)
        if fault is not None:
            raise CallOwner(what=f"{self.name}: SOAP fault {fault[0][:40]!a}")
        if refused is not None:
            raise refused
        for number, check in enumerate(self.checks, start=1):
            if not check.holds(inner):
                raise CallOwner(what=f"{self.name}: check {number} does not hold")
        return inner, self._kept(inner)

    def lost(self, error: NoAnswer) -> Exception:
        """What it means that no answer came: a rule for timeouts adds its words."""
        if error.reason is not Reason.TIMEOUT:
            return error
        for rule in self.rules:
            if rule.spec.timeout:
                said = rule.failure(None, credentials=False)
                if isinstance(said, TryAgain):
                    error.after, error.words = said.after, said.words
                    return error
                return said
        return error

    def _outer(self, got: Received) -> tuple[Any, Failure | None]:
        """The document as it came; what is wrong with it is said only if no rule matches."""
        if not got.body and got.status != 200:  # noqa: PLR2004 - an error without words
            return None, CallOwner(what=f"{self.name}: answer is empty")
        try:
            text = decoded(got.body, self.charset, got.headers.get("content-type", ""))
            return document(text, self.call.read, self.call.delimiter), None
        except CallOwner as error:
            return None, error

    def _inner(self, outer: Any, refused: Failure | None) -> tuple[Any, Failure | None]:
        """The document inside, where there is one."""
        if self.unwrap is None or self.call.unwrap is None or outer is None:
            return outer, refused
        text = self.unwrap.one(outer)
        if not isinstance(text, str) or not text.strip():
            return None, CallOwner(what=f"{self.name}: no document inside")
        try:
            return document(text, self.call.unwrap.as_), refused
        except CallOwner as error:
            return None, error

    def _kept(self, inner: Any) -> dict[str, str]:
        kept = {}
        for name, expression in self.keep.items():
            value = expression.one(inner)
            if value is not None and not isinstance(value, dict | list):
                kept[name] = str(value).strip()
        return kept


def _by_status(status: int, after: float | None) -> None:
    """What a status means where no rule says otherwise."""
    if status in GOOD:
        return
    if status in (401, 403):
        raise BadCredentials(what=f"status {status}: it refuses our credentials")
    if status == 429 or status >= _LAST_SIGN:  # noqa: PLR2004 - too many requests
        raise TryAgain(after=after)
    raise CallOwner(what=f"status {status}")


def retry_after(said: str | None, now: datetime) -> float | None:
    """Seconds of a `Retry-After`: within 1 s and 1 h; nonsense and the past count as not said."""
    if not said:
        return None
    said = said.strip()
    if re.fullmatch(r"[0-9]{1,12}", said):
        wait = float(said)
    else:
        try:
            wait = (parsedate_to_datetime(said) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wait, 1.0), MAX_AFTER) if wait >= 0 else None


def soap_fault(root: Any) -> tuple[str, str] | None:
    """Code (without prefix) and text of a SOAP 1.1 or 1.2 fault, or None."""
    if not isinstance(root, etree._Element):  # noqa: SLF001 - lxml names no public class
        return None
    if etree.QName(root).localname != "Envelope":
        return None
    for node in root.iter():
        if etree.QName(node).localname == "Fault":
            return _code(node), _text(node)
    return None


def _code(fault: Any) -> str:
    for node in fault.iter():
        name = etree.QName(node).localname
        if name == "faultcode" or (
            name == "Value" and etree.QName(node.getparent()).localname == "Code"
        ):
            return (node.text or "").strip().rpartition(":")[2]
    return ""


def _text(fault: Any) -> str:
    for node in fault.iter():
        if etree.QName(node).localname in ("faultstring", "Text"):
            return " ".join((node.text or "").split())
    return ""


def answers(name: str, call: Call, rules: tuple[ErrorRule, ...], charset: Charset) -> Answers:
    """Compile how a call's answers are read; `rules` are the whole recipe's.

    Raises:
        BadExpression: an expression that is not in our grammar.
    """
    language: Read = call.unwrap.as_ if call.unwrap else call.read

    def place(text: str) -> Expression:
        return compiled(text, language, call.ns)

    own = [rule for rule in rules if rule.call in (None, name)]
    return Answers(
        name=name,
        call=call,
        charset=charset,
        rules=tuple(_rule(rule, place) for rule in own),
        checks=tuple(test(check, place) for check in call.check),
        keep={key: place(text) for key, text in call.keep.items()},
        unwrap=compiled(call.unwrap.at, call.read, call.ns) if call.unwrap else None,
    )


def test(spec: Test, place: Callable[[str], Expression]) -> Tested:
    """Compile a test of the recipe."""
    values = spec.in_ if spec.in_ is not None else () if spec.is_ is None else (spec.is_,)
    return tested(place(spec.at), values, spec.matches, missing=spec.missing is True)


def _rule(spec: ErrorRule, place: Callable[[str], Expression]) -> Rule:
    status = spec.status if isinstance(spec.status, tuple) else ()
    if isinstance(spec.status, int):
        status = (spec.status,)
    values = spec.in_ if spec.in_ is not None else () if spec.is_ is None else (spec.is_,)
    look = spec.at is not None
    fault = spec.soap_fault.matches if spec.soap_fault else None
    return Rule(
        spec=spec,
        status=frozenset(status),
        test=tested(place(spec.at or ""), values, spec.matches, missing=False) if look else None,
        fault=pattern(fault) if fault else None,
    )
