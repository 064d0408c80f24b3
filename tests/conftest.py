"""One embedded PostgreSQL for all test processes, a database for each, a savepoint for each test.

`client` and `database` roll everything back. `live_client` commits for real, in a database of its
own: for tests whose requests truly race.
"""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import hypothesis
import pytest
import uvloop
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters import embedded_postgres
from app.adapters.storage import open_storage
from app.crypto import AccessTokens, Keyring, PasswordHasher, passwords
from app.db import Database
from app.lifespan import make_deployment
from app.main import create_app
from app.migrate import head_revision, migrate
from app.routers import browser_app
from app.services import signing_keys
from app.settings import Settings
from tests.folders import folder_for_postgresql
from tests.helpers import (
    Api,
    Clock,
    Mailbox,
    bearer,
    know_the_routes,
    make_editor,
    patient_database,
    sign_up,
)
from tests.one_connection import rolled_back

TEMPLATE = "template_migrated"
URL_VARIABLE = "TEST_POSTGRES_URL"  # of the server, with "DATABASE" for a name
# A busy machine draws and tries examples slowly, which says nothing of the code. The fast suite has
# the same examples each time: what fails is what the change in question has done.
_PATIENT: Any = {"deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}
hypothesis.settings.register_profile("new examples", **_PATIENT)
hypothesis.settings.register_profile("same examples", derandomize=True, **_PATIENT)


def pytest_configure(config: pytest.Config) -> None:
    """Start the server once, in the process that starts the others."""
    gc.disable()  # until all tests are collected: none of them goes
    is_fast = config.option.markexpr == "not slow"
    hypothesis.settings.load_profile("same examples" if is_fast else "new examples")
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # as in production
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    folder = folder_for_postgresql()
    server = embedded_postgres.start(folder, durable=False)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.add_cleanup(server.stop)
    os.environ[URL_VARIABLE] = server.url("DATABASE")


def pytest_collection_finish() -> None:
    """Spare the collector what stays for good, as the application does at its start."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def server_url() -> str:
    """The server's URL, with "DATABASE" for a name."""
    return os.environ[URL_VARIABLE]


@pytest.fixture(scope="session")
async def template(server_url: str) -> str:
    """A migrated database to copy; the first process that needs it makes it."""
    connection = await asyncpg.connect(server_url.replace("DATABASE", "postgres"))
    await connection.execute("SELECT pg_advisory_lock(1)")
    try:
        query = "SELECT FROM pg_database WHERE datname = $1"
        if await connection.fetchrow(query, TEMPLATE) is None:
            draft = f"{TEMPLATE}_draft"
            await connection.execute(f"CREATE DATABASE {draft}")
            # Alembic runs a loop of its own, so it gets a thread of its own.
            await asyncio.to_thread(migrate, server_url.replace("DATABASE", draft))
            await connection.execute(f"ALTER DATABASE {draft} RENAME TO {TEMPLATE}")
    finally:
        await connection.close()
    return TEMPLATE


@asynccontextmanager
async def copied_database(server_url: str, template: str) -> AsyncIterator[str]:
    """The URL of a fresh copy of the migrated database.

    Copying its files is faster than logging each of their pages, since nothing is synchronised.
    """
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(server_url.replace("DATABASE", "postgres"))
    try:
        copying = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
        await connection.execute(copying)
        yield server_url.replace("DATABASE", name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def engine(server_url: str, template: str) -> AsyncIterator[AsyncEngine]:
    async with copied_database(server_url, template) as url:
        database = patient_database(url)
        yield database.engine
        await database.close()


@pytest.fixture
async def database(engine: AsyncEngine) -> AsyncIterator[Database]:
    async with rolled_back(engine) as database:
        yield database


@pytest.fixture
async def live_database(server_url: str, template: str) -> AsyncIterator[Database]:
    async with copied_database(server_url, template) as url:
        database = patient_database(url, pool_size=20)
        yield database
        await database.close()


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring("a secret for tests that is long enough to be one")


@pytest.fixture(scope="session")
def hasher(keyring: Keyring) -> Iterator[PasswordHasher]:
    """argon2id at a thousandth of its cost, which no rule but those of test_crypto.py minds."""
    with pytest.MonkeyPatch.context() as cheap:
        cheap.setattr(passwords, "ARGON2_MEMORY_KIB", 64)
        cheap.setattr(passwords, "ARGON2_PASSES", 1)
        hasher = PasswordHasher(keyring, threads=2)
    yield hasher
    hasher.close()


@cache
def common_settings() -> Settings:
    """Read once: looking for each setting in the environment takes as long as a request."""
    return Settings(
        database_url="postgresql:///never-used",
        secret_key=SecretStr("never used either"),
        return_to_origins=("https://portal.example",),
        cors_origins=("https://portal.example",),
    )


def settings_for(data_dir: Path) -> Settings:
    return common_settings().model_copy(update={"data_dir": data_dir})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


def clock_at_noon() -> Clock:
    return Clock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))


@pytest.fixture
def clock() -> Clock:
    return clock_at_noon()


async def running_app(
    settings: Settings, database: Database, keyring: Keyring, hasher: PasswordHasher, clock: Clock
) -> FastAPI:
    """The application as its lifespan would leave it, on a given database and clock."""
    app = create_app(settings, clock=clock.read)
    know_the_routes(app)
    app.state.database = database
    app.state.deployment = make_deployment(settings, keyring)
    app.state.hasher = hasher
    app.state.access_tokens = AccessTokens(issuer=settings.base_url, audience=settings.base_url)
    app.state.keys.open(database, app.state.access_tokens)
    app.state.storage = open_storage(None, default_folder=settings.data_dir / "objects")
    app.state.expected_revision = head_revision()
    app.dependency_overrides.clear()
    async with database.transaction() as session:
        keys = await signing_keys.load(session, keyring=keyring, now=clock.now)
    app.state.access_tokens.use_keys(keys)
    return app


@pytest.fixture
async def app(
    settings: Settings, database: Database, keyring: Keyring, hasher: PasswordHasher, clock: Clock
) -> FastAPI:
    return await running_app(settings, database, keyring, hasher, clock)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with Api(app) as client:
        yield client


@pytest.fixture(scope="session")
async def plain_client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A client of an installation without the browser app, where plain pages stand in for it."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(browser_app, "FOLDER", folder / "absent")
        app = create_app(settings_for(folder))
    async with Api(app) as client:
        yield client


@pytest.fixture
async def desk(app: FastAPI, mailbox: Mailbox, database: Database) -> AsyncIterator[Api]:
    """A client that is logged in as an editor."""
    async with Api(app) as desk:
        session = await sign_up(desk, mailbox, "editor@example.org")
        await make_editor(database, "editor@example.org")
        desk.headers.update(bearer(session))
        yield desk


@pytest.fixture
def mailbox(database: Database, keyring: Keyring) -> Mailbox:
    return Mailbox(database, keyring)


@pytest.fixture
async def live_app(
    settings: Settings,
    live_database: Database,
    keyring: Keyring,
    hasher: PasswordHasher,
    clock: Clock,
) -> FastAPI:
    unlimited = settings.model_copy(update={"rate_limits": "off"})
    return await running_app(unlimited, live_database, keyring, hasher, clock)


@pytest.fixture
async def live_client(live_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with Api(live_app) as client:
        yield client


@pytest.fixture
def live_mailbox(live_database: Database, keyring: Keyring) -> Mailbox:
    return Mailbox(live_database, keyring)
