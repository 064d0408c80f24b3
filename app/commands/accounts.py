"""The first admin, and the keys that sign everybody's access tokens."""

import sys
from datetime import UTC, datetime

import typer

from app.commands import runner
from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.settings import Settings


def create_admin(email: str) -> None:
    """Make an admin account, or make an account an admin; the password is asked for or read."""
    from app.services import accounts, passwords
    from app.services.emails import parse_email

    address = parse_email(email)
    password = _read_password()
    passwords.check(password, email=address.key)

    async def work(_: Settings, database: Database, keyring: Keyring) -> None:
        hasher = PasswordHasher(keyring, threads=1)
        password_hash = await hasher.hash(password)
        hasher.close()
        async with database.transaction() as session:
            is_new = await accounts.create_admin(
                session, address, password_hash, locale="en", now=datetime.now(UTC)
            )
        typer.echo(f"{address.typed} is {'a new' if is_new else 'now an'} admin")

    runner.run(work)


def _read_password() -> str:
    if sys.stdin.isatty():
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")


def rotate_keys() -> None:
    """Publish a new key for access tokens; it signs in 15 minutes and nobody is logged out."""
    from app.services import signing_keys

    async def work(_: Settings, database: Database, keyring: Keyring) -> None:
        async with database.transaction() as session:
            kid = await signing_keys.rotate(session, keyring=keyring, now=datetime.now(UTC))
        typer.echo(f"key {kid} is published")

    runner.run(work)
