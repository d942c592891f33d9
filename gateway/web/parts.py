"""Everything that handlers may use, opened once in `app` and handed to each visit."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.cards.feed import Cards
from gateway.cards.search import Search
from gateway.cases.feedback import Feedback
from gateway.clock import Clock
from gateway.hosting.departments import Departments
from gateway.observe.board import Board
from gateway.registry.live import Live
from gateway.registry.publish import Publisher
from gateway.registry.watch import Report
from gateway.settings import Settings
from gateway.sso.consent import Consents
from gateway.sso.disclosure import Disclosures
from gateway.sso.launch import Launches
from gateway.sso.preferences import Preferences
from gateway.sso.session import Sessions
from gateway.sso.signin import SignIn
from gateway.sso.staff import Staff
from gateway.sso.tickets import Tickets
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile


@dataclass(frozen=True, slots=True)
class Parts:
    """One worker's long-lived things; there is no container and no global."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    volatile: Volatile
    keys: Keys
    live: Live
    publisher: Publisher
    watch_report: Callable[[], Report]  # what the leader last said of the watched files
    departments: Departments
    cards: Cards
    search: Search
    sessions: Sessions
    signin: SignIn
    consents: Consents
    launches: Launches
    tickets: Tickets
    disclosures: Disclosures
    preferences: Preferences
    staff: Staff
    feedback: Feedback
    board: Board
