"""The rules that a registry holds its plugins to when a revision is prepared: by reading only."""

from collections.abc import Mapping

from gateway.conformance.dataflow import uses_declared_data
from gateway.conformance.finding import Finding
from gateway.conformance.folder import opened
from gateway.conformance.names import named
from gateway.conformance.secrecy import holds_no_secret


def essentials(name: str, files: Mapping[str, bytes]) -> list[Finding]:
    """What keeps a plugin out of a registry, found by reading only: C07, C09 and C14.

    Schemas and kinds are found when it is opened; hosts and settings depend on its entry.
    """
    folder = opened(name, files)
    found: set[Finding] = set()
    for rule, check in (("C07", uses_declared_data), ("C09", holds_no_secret), ("C14", named)):
        found |= {finding.coded(rule) for finding in check(folder)}
    return sorted(found)
