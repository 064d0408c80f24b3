"""An upload's speed and memory, against an app that throws the bytes away: `uploads.py [MB]`.

The API has one core; database and client share the other.
"""

import asyncio
import socket
import sys
import time
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg

from app.crypto import Keyring, PasswordHasher
from benchmarks.rig.installation import (
    LOAD_CORE,
    ROOT,
    SERVER_CORE,
    Installation,
    free_port,
    installation,
    on_core,
    started,
    wait_until_ready,
)
from benchmarks.rig.load import call

MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 500
ROUNDS = 3
BLOCK = bytes(range(256)) * 4096  # a MiB
EMAIL, PASSWORD = "editor@example.org", "Correct-Horse-7-Battery"
NOBODY = "smtp://127.0.0.1:9"


def main() -> None:
    port = free_port()
    sink = (str(ROOT / "benchmarks/rig/sink_app.py"), str(port))
    with (
        started(*sink, environment={"PYTHONPATH": str(ROOT)}, core=SERVER_CORE),
        installation(smtp_url=NOBODY, with_worker=False) as site,
        on_core(LOAD_CORE),
    ):
        wait_until_ready(port, path="/")
        token = asyncio.run(make_editor(site))
        asyncio.run(add_draft(site, token))
        before = most_megabytes(site.api_pid)
        thrown, kept = [], []
        for _ in range(ROUNDS):
            thrown.append(send(port, "POST", "/", {})[1])
            kept.append(upload(site, token))
        more = most_megabytes(site.api_pid) - before
    rate, bare = MEGABYTES / min(kept), MEGABYTES / min(thrown)
    print(f"upload: {rate:.0f} MB/s, thrown away: {bare:.0f} MB/s")
    print(f"upload / thrown away: {rate / bare:.2f} (wanted: at least 0.5)")
    print(f"more memory at the highest: {more:.0f} MB (wanted: at most 60)")


def most_megabytes(pid: int) -> float:
    """The highest that the resident memory of a process has been."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


async def make_editor(site: Installation) -> str:
    hasher = PasswordHasher(Keyring(site.secret_key))
    password_hash = await hasher.hash(PASSWORD)
    hasher.close()
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    await connection.execute(
        "INSERT INTO account (id, email, email_key, password_hash, locale, role, created_at,"
        " updated_at) VALUES ($1, $2, $2, $3, 'en', 'editor', $4, $4)",
        *(uuid4(), EMAIL, password_hash, datetime.now(UTC)),
    )
    await connection.close()
    body = {"email": EMAIL, "password": PASSWORD}
    return str((await call(site.port, "POST", "/v1/auth/login", body=body))["access_token"])


async def add_draft(site: Installation, token: str) -> None:
    body = {"type": "video", "slug": "a-draft", "title": "A draft", "language": "en"}
    await call(site.port, "POST", "/v1/assets", body=body, token=token)


def upload(site: Installation, token: str) -> float:
    """Seconds for the bytes of one file, to the answer that they are safe."""
    tus = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {token}"}
    asset = b64encode(b"a-draft").decode()
    created, _ = send(
        site.port,
        "POST",
        "/v1/uploads",
        {
            **tus,
            "Upload-Length": str(MEGABYTES * len(BLOCK)),
            "Upload-Metadata": f"asset_id {asset}",
        },
        blocks=0,
    )
    path = created["location"]
    headers = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer, seconds = send(site.port, "PATCH", path, headers)
    assert answer["upload-offset"] == str(MEGABYTES * len(BLOCK)), answer  # noqa: S101
    return seconds


def send(
    port: int, method: str, path: str, headers: dict[str, str], *, blocks: int = MEGABYTES
) -> tuple[dict[str, str], float]:
    """The answer's headers, and how many seconds it took."""
    fields = {**headers, "Host": "127.0.0.1", "Content-Length": str(blocks * len(BLOCK))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        for _ in range(blocks):
            connection.sendall(BLOCK)
        head = connection.recv(65536).partition(b"\r\n\r\n")[0].decode()
    seconds = time.perf_counter() - begun
    pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:])
    return {name.lower(): value for name, value in pairs}, seconds


if __name__ == "__main__":
    main()
