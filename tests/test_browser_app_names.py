"""The browser app as the TypeScript compiler reads it: names that are misspelt or twice there."""

import re
import subprocess
from pathlib import Path

import pytest

from app.routers.browser_app import FOLDER
from tests.typescript import install_typescript

# Of all that the compiler says of plain JavaScript, what is a fault whatever the types are.
FAULTS = {
    "TS1117": "a key is twice in an object",
    "TS2304": "no such name",
    "TS2305": "a module exports no such name",
    "TS2307": "no such module",
    "TS2367": "two values can never be equal",
    "TS2448": "used before it is there",
    "TS2451": "declared twice",
    "TS2552": "no such name, but one that is spelt alike",
    "TS2554": "too many values for a function, or too few",
    "TS2588": "a constant is changed",
    "TS2614": "a module exports no such name, but by default",
}


@pytest.mark.slow
def test_names_are_there_once_and_functions_get_what_they_take(tmp_path: Path) -> None:
    compiler = install_typescript(tmp_path) / "node_modules/.bin/tsc"
    command = (compiler, "--project", FOLDER / "jsconfig.json")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ": error TS5" not in done.stdout  # the command itself is understood
    # A default that does nothing, `() => null`, takes more than it names; others' files are theirs.
    ours = re.sub(r"^.*(/vendor/|: Expected 0 arguments).*\n", "", done.stdout, flags=re.MULTILINE)
    said = re.findall(r"^(.*: error (TS\d+): .*)$", ours, re.MULTILINE)
    assert [line for line, code in said if code in FAULTS or code.startswith("TS10")] == []
