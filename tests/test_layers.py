"""The rules of the house that a machine can check; those on imports are in pyproject.toml too."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app import db, deps, main
from app.http.strict_json import StrictJsonRoute
from app.routers import dev_mail

PROJECT = Path(main.__file__).parent.parent
SOURCES = sorted((PROJECT / "app").rglob("*.py"))
SERVING = ("app.__main__", "app.main", "app.jobs.worker")  # what the API and the worker load
MAX_FUNCTION_LINES = 40
MAX_MODULE_LINES = 250
ROUTES = [
    route
    for router in (*main.ROUTERS, dev_mail.router)
    for route in router.routes
    if isinstance(route, APIRoute)
]


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def imported_modules(path: Path) -> set[str]:
    """What a file imports, wherever in it: `from a import b` counts as `a.b` and as `a`."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@cache
def loaded_with(*modules: str) -> set[str]:
    """All modules of a new process that imports these."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return {*done.stdout.split()}


def called_methods(path: Path) -> set[str]:
    found = (node.func for node in nodes(path) if isinstance(node, ast.Call))
    return {function.attr for function in found if isinstance(function, ast.Attribute)}


def dependencies(dependant: Dependant) -> Iterator[Dependant]:
    """A route's dependencies, theirs, and so on."""
    for each in dependant.dependencies:
        yield each
        yield from dependencies(each)


def test_import_contracts_are_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Contracts: 4 kept, 0 broken." in done.stdout


def test_models_import_models_base_alone() -> None:
    for path in (PROJECT / "app/models").glob("*.py"):
        if path.name == "__init__.py":
            continue
        of_ours = {name for name in imported_modules(path) if name.startswith("app")}
        assert all(name.startswith("app.models.base.") for name in of_ours), name_of(path)


def test_package_of_models_names_every_table() -> None:
    """Otherwise `alembic check` would not see it."""
    exported = imported_modules(PROJECT / "app/models/__init__.py")
    for path in (PROJECT / "app/models").glob("*.py"):
        module = f"app.models.{path.stem}."
        assert path.stem == "__init__" or any(name.startswith(module) for name in exported), path


def test_only_db_commits() -> None:
    committing = [name_of(path) for path in SOURCES if "commit" in called_methods(path)]
    assert committing == ["app/db.py"]


def test_session_comes_from_one_alias() -> None:
    """A plain `Depends(get_session)` opens a second session and commits after the response."""
    importing = [
        name_of(path) for path in SOURCES if "app.db.get_session" in imported_modules(path)
    ]
    assert importing == ["app/deps/database.py"]
    for route in ROUTES:
        for each in dependencies(route.dependant):
            if each.call is db.get_session:
                assert each.scope == "function", route.path


def test_no_route_that_hashes_holds_a_session() -> None:
    """Hashing waits in a queue, and a connection must not wait with it."""
    hashing = []
    for route in ROUTES:
        called = {each.call for each in dependencies(route.dependant)}
        if deps.get_hasher in called:
            hashing.append(route.name)
            assert db.get_session not in called, route.path
    assert "login" in hashing


def test_routes_with_a_body_parse_json_strictly() -> None:
    with_body = [route for route in ROUTES if route.body_field is not None]
    assert len(with_body) > 10
    for route in with_body:
        assert isinstance(route, StrictJsonRoute), route.path


def test_neither_api_nor_worker_load_media_libraries() -> None:
    """They take memory, and their bugs are a reason to keep them in processes of their own."""
    assert not {"av", "pymediainfo"} & loaded_with(*SERVING)


def test_processes_of_commands_load_no_rich_with_structlog() -> None:
    """Only a command that draws loads it, itself."""
    loaded = loaded_with(*SERVING)
    assert "structlog" in loaded
    assert "rich" not in loaded


def test_sandbox_loads_nothing_else_of_ours_before_its_parser() -> None:
    loaded = loaded_with("app.adapters.sandbox")
    of_ours = {name for name in loaded if name.partition(".")[0] == "app"}
    assert of_ours == {"app", "app.adapters", "app.adapters.sandbox"}
    assert "structlog" not in loaded


def test_functions_are_small() -> None:
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                place = f"{name_of(path)}:{node.lineno} {node.name}"
                assert lines <= MAX_FUNCTION_LINES, f"{place} has {lines} lines"


@pytest.mark.parametrize("folder", ["services", "routers", "deps", "commands"])
def test_modules_are_small(folder: str) -> None:
    for path in (PROJECT / "app" / folder).glob("*.py"):
        lines = len(path.read_text().splitlines())
        if path.name == "policy.py":
            continue  # one list of numbers, which everybody finds because it is one
        assert lines <= MAX_MODULE_LINES, f"{name_of(path)} has {lines} lines"


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils.py", "util.py", "common.py", "misc.py", "helpers.py"}
    assert [name_of(path) for path in SOURCES if path.name in drawers] == []
