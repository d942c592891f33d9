"""The promises that stand first, and for each a small breakage that a named test must notice."""

from dataclasses import dataclass

FEED = "tests/gateway/cards/test_feed.py"


@dataclass(frozen=True)
class Edit:
    """A text that stands once in a file, made wrong."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Breakage:
    """What is promised, how it is broken, who must notice."""

    promise: str
    test: str
    edits: tuple[Edit, ...]

    @property
    def name(self) -> str:
        """The test's own name."""
        return self.test.partition("::")[2].partition("[")[0]


BREAKAGES = (
    Breakage(
        "P8 a silent department holds nobody up",
        f"{FEED}::test_twenty_silent_departments",
        (Edit("gateway/cards/asking.py", "clock.within(left)", "clock.within(left + 3600)"),),
    ),
    Breakage(
        "P9 what is to do stays to do while its department is dead",
        f"{FEED}::test_a_dead_department_does_not_lower_what_is_to_do",
        (
            Edit(
                "gateway/cards/asking.py",
                "return row.copied(asked.copy, badges, _why(asked, failed))",
                "return self.unavailable(row, badges, failed)",
            ),
        ),
    ),
    Breakage(
        "P10 an answer that breaks the contract costs its own card",
        f"{FEED}::test_answers_that_break_the_contract_are_refused",
        (
            Edit(
                "gateway/cards/fetch.py", "except BadAnswer as error:", "except EOFError as error:"
            ),
        ),
    ),
    Breakage(
        "P11 one slow department changes no byte of the others",
        "tests/faults/test_silent_departments.py::test_one_slow_department_changes_no_byte_of_the_others",
        (
            Edit(
                "gateway/cards/asking.py",
                "if asked.flight is not None and asked.flight.done():",
                "if all(one.flight is None or one.flight.done() for one in joined) and asked.flight:",
            ),
        ),
    ),
    Breakage(
        "P15 a Valkey that dies comes back without a hand",
        "tests/faults/test_door.py::test_a_killed_valkey_costs_a_moment_and_no_session",
        (
            Edit(
                "gateway/running/supervisor.py",
                "for helper in self.helpers:\n                self._mend(helper, now)",
                "for helper in ():\n                self._mend(helper, now)",
            ),
        ),
    ),
    Breakage(
        "P15 a new Valkey revives no session that was ended",
        "tests/gateway/sso/test_session.py::test_a_killed_store_brings_no_ended_session_back",
        (
            Edit(
                "gateway/sso/revocations.py",
                "for row in rows:\n                self._note(row)\n                newest = row.id",
                "for row in rows:\n                newest = row.id",
            ),
        ),
    ),
    Breakage(
        "P20 one error keeps the whole edit back",
        "tests/gateway/registry/test_publish.py::test_one_error_keeps_everything_back",
        (
            Edit("gateway/registry/prepare.py", "(errors(found) and not tolerant)", "False"),
            Edit(
                "gateway/registry/publish.py",
                "ready.path is None or (ready.errors and not tolerant)",
                "ready.path is None",
            ),
        ),
    ),
    Breakage(
        "P21 an old file does not roll the city back",
        "tests/gateway/registry/test_watch.py::test_an_old_file_does_not_roll_the_city_back",
        (
            Edit(
                "gateway/registry/watch.py",
                "if like is not None or behind or not self._publishing:",
                "if not self._publishing:",
            ),
        ),
    ),
    Breakage(
        "P23 consent is looked at right before sending",
        f"{FEED}::test_consent_is_looked_at_again_right_before_sending",
        (Edit("gateway/cards/fetch.py", "if not agreed(entry, agreement):", "if not entry:"),),
    ),
    Breakage(
        "P23 nothing lands after a withdrawal",
        f"{FEED}::test_another_worker_cannot_land_after_a_withdrawal",
        (
            Edit(
                "gateway/cards/copies.py",
                """"if redis.call('HGET', KEYS[1], '.epoch') ~= ARGV[1] then return 0 end "\n    "if ARGV[3]""",
                """"if ARGV[3]""",
            ),
        ),
    ),
    Breakage(
        "P25 no citizen sees another's card",
        f"{FEED}::test_nobody_sees_anothers_card",
        (
            Edit(
                "gateway/cards/asking.py",
                "(citizen.id, epoch, row.field) if citizen and hers",
                "(row.field,) if citizen and hers",
            ),
        ),
    ),
    Breakage(
        "P25 two citizens share no cookie of a department",
        "tests/gateway/hosting/test_outbound.py::test_two_citizens_share_no_cookie",
        (
            Edit(
                "gateway/hosting/outbound.py",
                "cookie_jar=aiohttp.DummyCookieJar()",
                "cookie_jar=aiohttp.CookieJar(unsafe=True)",
            ),
        ),
    ),
    Breakage(
        "P26 no personal value in the log",
        "tests/gateway/observe/test_log.py::test_no_value_that_looks_personal_is_logged",
        (
            Edit(
                "gateway/observe/scrub.py",
                'return str(_SHAPES.sub("[hidden]", text))',
                "return text",
            ),
        ),
    ),
    Breakage(
        "P26 no personal value can be read in Valkey",
        f"{FEED}::test_what_stands_in_the_store_is_sealed_and_dies",
        (Edit("gateway/cards/copies.py", "field, FORMAT + sealed)", "field, FORMAT + copy.body)"),),
    ),
    Breakage(
        "P26 no personal value in any byte that is left",
        "tests/journeys/test_no_personal_data.py::test_a_whole_journey_leaves_no_personal_value",
        (
            Edit(
                "gateway/cases/feedback.py",
                "text.encode(), aad=f\"feedback:{row['id']}\".encode()\n        )",
                "text.encode(), aad=f\"feedback:{row['id']}\".encode()\n        ) + text.encode()",
            ),
        ),
    ),
    Breakage(
        "P30 a field alone may be nonsense",
        "tests/faults/test_nonsense.py::test_each_field_alone_may_be_nonsense",
        (
            Edit(
                "gateway/web/signin.py",
                'asked.get("level") in ("1", "2", "3", "4", "5")',
                'asked.get("level")',
            ),
        ),
    ),
    Breakage(
        "P30 nonsense is refused and never a 5xx",
        "tests/gateway/web/test_api.py::test_what_is_asked_for",
        (
            Edit(
                "gateway/web/api.py",
                "all(topic != known.id for known in visit.generation.topics)",
                "next(known for known in visit.generation.topics if known.id == topic) is None",
            ),
        ),
    ),
    Breakage(
        "nothing acknowledged is doubled",
        "tests/gateway/cases/test_feedback.py::test_the_same_key_twice_is_one_report",
        (Edit("gateway/cases/feedback.py", "if known is not None:", 'if known == "":'),),
    ),
    Breakage(
        "after a kill the next start needs no hand",
        "tests/gateway/simulated/test_serve.py::test_it_never_begins_where_its_parent_died_meanwhile",
        (
            Edit(
                "gateway/simulated/serve.py",
                "parent = os.getppid() if parent is None else parent",
                "parent = os.getppid()",
            ),
        ),
    ),
    Breakage(
        "every consent has its line in the trail, whatever is killed",
        "tests/faults/test_killed.py::test_nothing_acknowledged_is_lost_or_doubled[sqlite-A11]",
        (
            Edit(
                "gateway/sso/consent.py",
                "            _end(connection, citizen, service, now)\n            event = ConsentWithdrawn(",
                "            _end(connection, citizen, service, now)\n            return True\n            event = ConsentWithdrawn(",
            ),
        ),
    ),
    Breakage(
        "nobody fills the store with sign-ins begun",
        "tests/gateway/sso/test_door.py::test_nobody_fills_the_store_with_sign_ins_begun",
        (
            Edit(
                "gateway/sso/rates.py", "if int(count) > most else 0", "if int(count) > 1e9 else 0"
            ),
        ),
    ),
    Breakage(
        "a ticket is redeemed once",
        "tests/gateway/sso/test_tickets.py::test_fifty_redemptions_are_one",
        (Edit("gateway/sso/onetime.py", "if value and #value > 9 then", "if false then"),),
    ),
)
