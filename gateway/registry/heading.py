"""The head of the registry: city, topics, life events, departments, from all its files."""

from collections.abc import Iterable, Mapping
from typing import Any

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError as BadNumber

from gateway.conformance.document import Document, check
from gateway.conformance.finding import Finding
from gateway.conformance.reader import Loc
from gateway.contract.manifest import Text
from gateway.registry.codes import WARNINGS, named, sentence
from gateway.registry.document_model import (
    CitySpec,
    DepartmentSpec,
    IncludedDocument,
    RegistryDocument,
    TopicSpec,
)
from gateway.registry.hosts import is_invented
from gateway.registry.reading import FileSource

_UNKNOWN = CitySpec.model_construct(
    code="000000", prefix="AA", name=Text(zh="城市", en="City"), hotline="12345", regions={}
)


def read_head(
    files: Iterable[FileSource], environment: str
) -> tuple[RegistryDocument | None, dict[str, DepartmentSpec], list[Finding]]:
    """The head, the departments of all files, and all that is wrong with both.

    Where something is wrong, what can be read of the lists is still there, so that entries are
    judged against it; then the findings hold an error. None: the registry file could not be read.
    """
    main, *included = files
    if not main.head.whole or not isinstance(main.head.value, dict):
        found = list(main.head.findings)
        if main.head.whole:
            found.append(_finding(main.head, (), "not-a-mapping", value="the registry"))
        head = None
    else:
        head, found = _main(main.head)
    departments = dict(head.departments) if head else {}
    at = dict.fromkeys(departments, main)
    for file in included:
        document, more = _included(file.head)
        found += more
        for name, department in (document.departments if document else {}).items():
            if name in departments:
                first = f"{at[name].name}:{at[name].head.place(('departments', name), key=True)[0]}"
                places: dict[str, Any] = {"value": repr(name), "first": first}
                loc = ("departments", name)
                found.append(_finding(file.head, loc, "twice-department", key=True, **places))
            departments.setdefault(name, department)
            at.setdefault(name, file)
    for name, department in departments.items():
        found += _department(at[name].head, name, department, environment)
    return head, departments, found


def _finding(
    document: Document, loc: Loc, code: str, *, key: bool = False, **places: object
) -> Finding:
    severity = "warning" if code in WARNINGS else "error"
    return document.finding(loc, code, *sentence(code, **places), severity=severity, key=key)  # type: ignore[arg-type]  # one of the two words


def _main(document: Document) -> tuple[RegistryDocument, list[Finding]]:
    value = {key: item for key, item in document.value.items() if key != "services"}
    made, found = check(document, RegistryDocument, value, ())
    found = [named(finding) for finding in (*document.findings, *found)]
    services = document.value.get("services")
    if not isinstance(services, dict) and services is not None:
        found.append(_finding(document, ("services",), "not-a-mapping", value="'services'"))
    head = made or _lenient(document)
    seen: set[str] = set()
    for number, topic in enumerate(head.topics):
        if topic.id in seen:
            loc = ("topics", number, "id")
            found.append(_finding(document, loc, "twice-topic", value=repr(topic.id)))
        seen.add(topic.id)
    return head, found


def _lenient(document: Document) -> RegistryDocument:
    """What can be read of a head with mistakes: enough to judge entries against."""
    value = document.value
    name = Text(zh="?", en="?")
    topics = value.get("topics")
    ids = [t["id"] for t in topics if isinstance(t, dict) and isinstance(t.get("id"), str)] \
        if isinstance(topics, list) else []  # fmt: skip
    city, _ = check(document, CitySpec, value.get("city"), ("city",))
    raw_city = value.get("city")
    regions = raw_city.get("regions") if isinstance(raw_city, dict) else None
    known = {str(code): name for code in regions} if isinstance(regions, dict) else {}
    departments = value.get("departments")
    specs: dict[str, DepartmentSpec] = {}
    for key, item in departments.items() if isinstance(departments, dict) else ():
        spec, _ = check(document, DepartmentSpec, item, ("departments", key))
        specs[key] = spec or DepartmentSpec.model_construct(
            name=name, credit_code="", phone="12345", privacy=""
        )
    events = value.get("life_events")
    return RegistryDocument.model_construct(
        registry=1,
        city=city or _UNKNOWN.model_copy(update={"regions": known}),
        topics=tuple(TopicSpec.model_construct(id=key, name=name, icon="") for key in ids),
        life_events=dict.fromkeys(events, name) if isinstance(events, dict) else {},
        departments=specs,
        include=(),
        services={},
    )


def _included(document: Document) -> tuple[IncludedDocument | None, list[Finding]]:
    found = list(document.findings)
    if not document.whole:
        return None, found
    if not isinstance(document.value, dict):
        return None, [*found, _finding(document, (), "not-a-mapping", value="the file")]
    value = {key: item for key, item in document.value.items() if key != "services"}
    if "include" in value:
        del value["include"]
        found.append(_finding(document, ("include",), "include-nested", key=True))
    made, more = check(document, IncludedDocument, value, ())
    services = document.value.get("services")
    if not isinstance(services, dict) and services is not None:
        found.append(_finding(document, ("services",), "not-a-mapping", value="'services'"))
    return made, found + [named(finding) for finding in more]


def _department(
    document: Document, name: str, department: DepartmentSpec, environment: str
) -> list[Finding]:
    loc: Loc = ("departments", name)
    found = []
    code = department.credit_code
    if code and not _right(code):
        found.append(_finding(document, (*loc, "credit_code"), "credit-code", value=repr(code)))
    if environment == "production":
        if code.startswith("00"):
            found.append(_finding(document, (*loc, "credit_code"), "invented", value=repr(code)))
        if is_invented(department.phone):
            at = (*loc, "phone")
            found.append(_finding(document, at, "invented", value=repr(department.phone)))
    return found


def _right(code: str) -> bool:
    """Whether the check digit of a credit code is right (GB 32100; any region)."""
    try:
        return bool(uscc.calc_check_digit(code[:-1]) == code[-1])
    except (BadNumber, ValueError, KeyError, IndexError):
        return False


def head_value(files: Iterable[FileSource]) -> list[Mapping[str, Any]]:
    """Everything in the files but their entries, as plain values."""
    heads: list[Mapping[str, Any]] = []
    for file in files:
        value = file.head.value if isinstance(file.head.value, dict) else {}
        heads.append({key: item for key, item in value.items() if key != "services"})
    return heads
