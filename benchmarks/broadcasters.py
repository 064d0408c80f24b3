"""What broadcasters use, under load: `python benchmarks/broadcasters.py [PART …] [--assets N]`.

Each part is a module of benchmarks/rig; `--quick` only tries whether all of them run. Rates stand
beside a baseline of the same run. The API has one core; database and load share the other.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import uvloop

from benchmarks.rig.installation import LOAD_CORE, installation, on_core

# In the order of what a broadcaster does, with what makes each quick.
PARTS: dict[str, dict[str, Any]] = {
    "api_keys": {},
    "exports": {"rounds": 1},
    "changes": {"size": 10_000, "waiters": 50},
    "webhooks": {"seconds": 1.0},
    "harvest": {"searches": 100},
}
ASSETS, QUICK_ASSETS = 20_000, 1_000

Measure = Callable[..., Coroutine[None, None, None]]


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=PARTS, default=None, metavar="PART")
    parser.add_argument("--assets", type=int)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    assets = given.assets or (QUICK_ASSETS if given.quick else ASSETS)
    for name in given.parts or PARTS:
        measure: Measure = import_module(f"benchmarks.rig.{name}").measure
        print(f"--- {name}")
        # One of its own for each part, which may leave anything behind.
        with (
            installation(smtp_url="smtp://127.0.0.1:9", with_worker=False, assets=assets) as site,
            on_core(LOAD_CORE),
        ):
            uvloop.run(measure(site, **(PARTS[name] if given.quick else {})))


if __name__ == "__main__":
    main()
