"""What broadcasters use, under load: `python benchmarks/broadcasters.py [PART] [--assets N]`.

Parts are the modules of benchmarks/rig that measure one: `changes` and whichever others are there.
Rates stand beside a baseline of the same run. The API has one core; database and load share the
other.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import uvloop

from benchmarks.rig.installation import LOAD_CORE, Installation, installation, on_core

# In the order of what a broadcaster does.
PARTS = ("api_keys", "exports", "changes", "webhooks")
ASSETS = 20_000

Measure = Callable[[Installation], Coroutine[None, None, None]]


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=PARTS, default=None)
    parser.add_argument("--assets", type=int, default=ASSETS)
    given = parser.parse_args()
    for name in given.parts or PARTS:
        if find_spec(f"benchmarks.rig.{name}") is None:
            continue
        measure: Measure = import_module(f"benchmarks.rig.{name}").measure
        print(f"--- {name}")
        # One of its own for each part, which may leave anything behind.
        with (
            installation(
                smtp_url="smtp://127.0.0.1:9", with_worker=False, assets=given.assets
            ) as site,
            on_core(LOAD_CORE),
        ):
            uvloop.run(measure(site))


if __name__ == "__main__":
    main()
