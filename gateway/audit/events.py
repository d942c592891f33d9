"""What is remembered for good: one frozen dataclass per kind of event.

No personal value ever stands here: citizens are random ids, departments' view of them is a subject,
tokens are digests. A test fails when a field could carry anything else. The docstring of each class
is its line in the handbook.
"""

from dataclasses import dataclass
from typing import ClassVar

from gateway.contract.ids import CitizenId, DepartmentId, PluginId, RevisionId, ServiceId, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """The base; `name` is noun.past_tense."""

    name: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn(AuditEvent):
    """A citizen came in through an identity provider."""

    name: ClassVar[str] = "session.opened"
    citizen: CitizenId
    session: str  # digest of the token
    upstream: str
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOut(AuditEvent):
    """A session was ended: by its citizen, by a new sign-in, or all of hers at once."""

    name: ClassVar[str] = "session.ended"
    citizen: CitizenId
    session: str = ""  # "": all of them
    reason: str = "citizen"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp(AuditEvent):
    """A citizen proved more about who she is."""

    name: ClassVar[str] = "session.raised"
    citizen: CitizenId
    session: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentGiven(AuditEvent):
    """A citizen agreed that a department is told certain data items."""

    name: ClassVar[str] = "consent.given"
    citizen: CitizenId
    service: ServiceId
    department: DepartmentId
    items: tuple[str, ...]  # ids of data items, never their values
    digest: str  # of what was shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentWithdrawn(AuditEvent):
    """A citizen took her consent back."""

    name: ClassVar[str] = "consent.withdrawn"
    citizen: CitizenId
    service: ServiceId
    department: DepartmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched(AuditEvent):
    """A citizen was sent to a department's pages."""

    name: ClassVar[str] = "service.launched"
    citizen: CitizenId
    service: ServiceId
    function: str = ""
    lane: str  # plain | ticket | cas | oidc
    ticket: str = ""  # digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRedeemed(AuditEvent):
    """A department's server exchanged a launch ticket for who the citizen is over there."""

    name: ClassVar[str] = "ticket.redeemed"
    service: ServiceId
    department: DepartmentId
    subject: Subject
    ticket: str  # digest, never the ticket
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(AuditEvent):
    """A revision of the registry went live."""

    name: ClassVar[str] = "registry.published"
    revision: RevisionId
    base: RevisionId
    author: str
    reason: str
    digest: str = ""  # of the manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(AuditEvent):
    """An older revision was published again as a new one."""

    name: ClassVar[str] = "registry.restored"
    revision: RevisionId
    of: RevisionId
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended(AuditEvent):
    """A service was switched off."""

    name: ClassVar[str] = "service.suspended"
    service: ServiceId
    revision: RevisionId
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(AuditEvent):
    """A service was switched on again."""

    name: ClassVar[str] = "service.resumed"
    service: ServiceId
    revision: RevisionId
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleGranted(AuditEvent):
    """Somebody became staff."""

    name: ClassVar[str] = "role.granted"
    citizen: CitizenId
    role: str
    scope: str = ""
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRemoved(AuditEvent):
    """Somebody is no longer staff."""

    name: ClassVar[str] = "role.removed"
    citizen: CitizenId
    role: str
    scope: str = ""
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayChanged(AuditEvent):
    """A citizen changed how her pages look."""

    name: ClassVar[str] = "display.changed"
    citizen: CitizenId
    settings: tuple[str, ...] = ()  # names only


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackHandedIn(AuditEvent):
    """Somebody reported a problem."""

    name: ClassVar[str] = "feedback.received"
    number: str  # the receipt
    service: str = ""
    citizen: CitizenId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackAnswered(AuditEvent):
    """A report was read or answered."""

    name: ClassVar[str] = "feedback.answered"
    number: str
    state: str  # read | answered
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded(AuditEvent):
    """A signing key was made."""

    name: ClassVar[str] = "key.added"
    key: str
    use: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade(AuditEvent):
    """The ledger was copied into an archive."""

    name: ClassVar[str] = "backup.made"
    digest: str  # of the archive
    rows: int
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRestored(AuditEvent):
    """The ledger was put back from an archive; every session before it is void."""

    name: ClassVar[str] = "backup.restored"
    digest: str
    rows: int
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginAccepted(AuditEvent):
    """An admin accepted by name a code plugin that this machine cannot cage."""

    name: ClassVar[str] = "plugin.accepted"
    plugin: PluginId
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailExported(AuditEvent):
    """An auditor took a copy of the trail."""

    name: ClassVar[str] = "trail.exported"
    first: int
    last: int
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(AuditEvent):
    """Somebody tried what she may not: a citizen at an admin act, a ticket used twice."""

    name: ClassVar[str] = "act.refused"
    act: str
    reason: str  # a code of the closed list of problems or refusals
    citizen: CitizenId | None = None
    service: str = ""
    department: str = ""
