"""What came back from a child, looked at before anybody believes it."""

import asyncio
from typing import Final

from pydantic import BaseModel, ValidationError

from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.failure import CallOwner, Failure, ShowLast, Unsure
from gateway.contract.hooks import Asked, Reply
from gateway.hosting.children.failing import ChildFailed, bug, read
from gateway.hosting.children.frames import Why
from gateway.hosting.children.link import Call, Frame, Link

_ANSWERS: Final[dict[str, type[BaseModel]]] = {
    one.__name__: one for one in (CardAnswer, Empty, Probe)
}


def read_frame(frame: Frame, call: Call, link: Link) -> BaseModel | Failure | None:
    """What a hook's frame says: an answer, a failure of the contract, or None for "done".

    Raises:
        ChildFailed: it says neither, or the plugin printed meanwhile.
        Exception: what the broker raised, where the plugin let just that pass.
    """
    kind = frame.get("is")
    if link.printed(frame):
        raise ChildFailed(Why.PRINTED)
    if kind == "bug":
        failed = bug(frame)
        if failed.why is Why.MEMORY:
            link.kill(Why.MEMORY, told=True)  # whatever failed to get memory there may be half done
        raise failed
    if kind in ("done", "absent"):
        return None
    of = frame.get("of")
    if kind == "failure" and isinstance(of, int) and of in call.errors:
        raise call.errors[of]
    try:
        if kind == "failure":
            return read(frame)
        return _ANSWERS[str(kind)].model_validate(frame["value"])
    except (KeyError, TypeError, ValueError, ValidationError):
        why = Why.WRONG_ANSWER if kind in _ANSWERS else Why.FRAMES
        raise ChildFailed(why) from None


def without_claims(failure: Failure, claims: tuple[str, ...]) -> Failure:
    """The same failure with what was known of the citizen taken out of its texts for the owner."""
    for name in ("what", "reason", "hint"):
        if isinstance(failure, CallOwner | ShowLast | Unsure) and hasattr(failure, name):
            text: str = getattr(failure, name)
            for value in claims:
                text = text.replace(value, "[hidden]")
            setattr(failure, name, text)
    return failure


async def closed(_: Asked) -> Reply:
    """The broker of a `close` hook: there is nobody left to ask for."""
    raise CallOwner(what="close sends nothing")


def seen(task: "asyncio.Task[Link]") -> None:
    """Whoever started it may have left: then its failure was told all the same."""
    if not task.cancelled():
        task.exception()
