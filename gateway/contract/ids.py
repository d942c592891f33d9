"""Strings that mean something have a type of their own."""

from typing import Final, NewType

PluginId = NewType("PluginId", str)  # the plugin's folder name
ServiceId = NewType("ServiceId", str)  # the registry entry's key, what addresses show: "gjj"
DepartmentId = NewType("DepartmentId", str)  # the sector of pairwise subjects
CitizenId = NewType("CitizenId", str)  # random, never leaves the gateway
Subject = NewType("Subject", str)  # the citizen's pseudonym at one department
RevisionId = NewType("RevisionId", int)

PLUGIN_ID_PATTERN: Final = r"^[a-z][a-z0-9-]{1,30}$"
SERVICE_ID_PATTERN: Final = r"^[a-z][a-z0-9-]{0,62}$"
