"""All that a plugin author sees: the words, models and errors of the plugin contract 1.0.

Imports the standard library and pydantic only. Everything public is re-exported here, so a plugin
needs one line: ``from gateway.contract import CardAsk, CardAnswer, Empty``.
"""

from gateway.contract.answer import AnswerState, CardAnswer, Empty, EmptyReason, Probe
from gateway.contract.card import Card, Fact, FactKind, Header, ListItem, Mask, Template
from gateway.contract.failure import (
    AskCitizen,
    CallOwner,
    Failure,
    ShowLast,
    TryAgain,
    Unsure,
)
from gateway.contract.hooks import (
    AnswersProbes,
    Asked,
    CardAsk,
    Closes,
    Context,
    Http,
    MakesCards,
    Opens,
    Reply,
)
from gateway.contract.ids import CitizenId, DepartmentId, PluginId, ServiceId, Subject
from gateway.contract.version import CONTRACT_VERSION

__all__ = [
    "CONTRACT_VERSION",
    "AnswerState",
    "AnswersProbes",
    "AskCitizen",
    "Asked",
    "CallOwner",
    "Card",
    "CardAnswer",
    "CardAsk",
    "CitizenId",
    "Closes",
    "Context",
    "DepartmentId",
    "Empty",
    "EmptyReason",
    "Fact",
    "FactKind",
    "Failure",
    "Header",
    "Http",
    "ListItem",
    "MakesCards",
    "Mask",
    "Opens",
    "PluginId",
    "Probe",
    "Reply",
    "ServiceId",
    "ShowLast",
    "Subject",
    "Template",
    "TryAgain",
    "Unsure",
]
