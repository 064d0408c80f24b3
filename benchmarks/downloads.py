"""Downloads of a large local file, as ratios of one run: `python benchmarks/downloads.py`.

The server that is measured has one core; the clients share the other with the database.
"""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
import uvloop

from app.crypto import Keyring, PasswordHasher
from benchmarks.rig.downloader import download
from benchmarks.rig.installation import (
    LOAD_CORE,
    ROOT,
    SERVER_CORE,
    Installation,
    free_port,
    installation,
    on_core,
    resident_megabytes,
    started,
    wait_until_ready,
)
from benchmarks.rig.load import Outcome, at_rate, call, connect, request

SIZE = 1024**3
ROUNDS = 5
CONNECTIONS = 200
SECONDS = 8.0
# Enough for a p99, too few to be a load of their own.
CALLS_PER_SECOND = 100
EMAIL, PASSWORD = "reader@example.org", "Correct-Horse-7-Battery"
KEY = "renditions/benchmark"


def main() -> None:
    sink = f"smtp://127.0.0.1:{free_port()}"  # no mail is sent
    with installation(smtp_url=sink, with_worker=False) as site, on_core(LOAD_CORE):
        path = Path(site.environment["DATA_DIR"]) / "objects" / KEY
        make_file(path)
        token = asyncio.run(make_catalogue(site, path))
        against_starlette(site, path, token)
        at_once(site, token)
        behind_nginx(site, path, token)
        print(f"resident memory of the API: {resident_megabytes(site.api_pid):.0f} MB")


def make_file(path: Path) -> None:
    """Of bytes that differ, and in the disk's cache from here on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = hashlib.shake_128(b"video").digest(1024**2)
    with path.open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)


async def make_catalogue(site: Installation, path: Path) -> str:
    """A published asset with the file, and an account; gives its access token."""
    hasher = PasswordHasher(Keyring(site.secret_key))
    password_hash = await hasher.hash(PASSWORD)
    hasher.close()
    now, asset, digest = datetime.now(UTC), uuid4(), "00" * 32
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    await connection.execute(
        "INSERT INTO account (id, email, email_key, password_hash, locale, role, created_at,"
        " updated_at) VALUES ($1, $2, $2, $3, 'en', 'member', $4, $4)",
        *(uuid4(), EMAIL, password_hash, now),
    )
    await connection.execute(
        "INSERT INTO asset (id, slug, type, state, version, language, fields, document, created_at,"
        " updated_at, published_at)"
        " VALUES ($1, 'large', 'video', 'published', 1, 'en', '{}', '{}', $2, $2, $2)",
        *(asset, now),
    )
    await connection.execute(
        "INSERT INTO stored_object (key, size_bytes, sha256, created_at) VALUES ($1, $2, $3, $4)",
        *(KEY, path.stat().st_size, digest, now),  # nothing else runs
    )
    await connection.execute(
        "INSERT INTO rendition (id, asset_id, name, purpose, state, object_key, filename,"
        " media_type, size_bytes, sha256, technical, created_at) VALUES ($1, $2, 'master',"
        " 'master', 'ready', $3, 'large.mxf', 'application/mxf', $4, $5, '{}', $6)",
        *(uuid4(), asset, KEY, SIZE, digest, now),
    )
    await connection.close()
    body = {"email": EMAIL, "password": PASSWORD}
    answer = await call(site.port, "POST", "/v1/auth/login", body=body)
    return str(answer["access_token"])


def link(port: int, token: str) -> str:
    """The path of a fresh link."""
    path = "/v1/assets/large/renditions/master/downloads"
    answer = asyncio.run(call(port, "POST", path, token=token))
    return str(urlsplit(answer["url"]).path)


def against_starlette(site: Installation, path: Path, token: str) -> None:
    port = free_port()
    command = (str(ROOT / "benchmarks/rig/file_app.py"), str(port), str(path))
    with started(*command, environment={"PYTHONPATH": str(ROOT)}, core=SERVER_CORE):
        wait_until_ready(port, path="/")
        ours = link(site.port, token)
        pairs = [(download(site.port, ours), download(port, "/file")) for _ in range(ROUNDS)]
    compare("1 GB, ours / Starlette's FileResponse", pairs, 1.5)


def behind_nginx(site: Installation, path: Path, token: str) -> None:
    """The API and nginx share the server's core, as they would a host."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        print("nginx is not installed: X-Accel-Redirect was not measured")
        return
    port, api_port = free_port(), free_port()
    environment = {**site.environment, "PORT": str(api_port), "X_ACCEL_PREFIX": "/stored"}
    command = ("-m", "app", "serve", "--no-worker")
    with (
        started(*command, environment=environment, core=SERVER_CORE),
        nginx(program, port, api_port, path.parents[1]),
    ):
        wait_until_ready(api_port)
        wait_until_ready(port)
        ours = link(site.port, token)
        pairs = [(download(port, ours), download(port, f"/alone/{KEY}")) for _ in range(ROUNDS)]
    compare("1 GB, X-Accel-Redirect / nginx alone", pairs, 0.9)


@contextmanager
def nginx(program: str, port: int, api_port: int, objects: Path) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="mma-nginx-") as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(**locals()))
        with on_core(SERVER_CORE):
            child = subprocess.Popen([program, "-p", folder, "-c", str(config)])
        try:
            yield
        finally:
            child.terminate()
            child.wait(10)


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1;
events {{ }}
http {{
    access_log off; sendfile on; max_ranges 1; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{api_port}; proxy_set_header Host $host; }}
        location /stored/ {{ internal; alias {objects}/; }}
        location /alone/ {{ alias {objects}/; }}
    }}
}}
"""


def at_once(site: Installation, token: str) -> None:
    """200 downloads without pause, and how long other calls take meanwhile."""
    calls = request("GET", "/v1/account", token=token)
    idle = uvloop.run(calls_at_a_steady_rate(site.port, calls))
    seconds = str(SECONDS + 2)
    reader = str(ROOT / "benchmarks/rig/downloader.py")
    given = (str(site.port), link(site.port, token), str(CONNECTIONS), seconds)
    # The clients' own calls come first on the core that they share with the downloads.
    command = ["nice", "-n", "19", sys.executable, reader, *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None  # noqa: S101  # it is a pipe
        child.stdout.readline()
        busy = uvloop.run(calls_at_a_steady_rate(site.port, calls))
        output, _ = child.communicate()
    total, least, most = (int(number) / 1_000_000 for number in output.split())
    rate = total / float(seconds)
    print(f"{CONNECTIONS} downloads at once: {rate:.0f} MB/s, {least:.0f} to {most:.0f} MB each")
    for share in (0.5, 0.99):
        now, before = busy.percentile(share) * 1000, idle.percentile(share) * 1000
        print(f"other calls, p{share * 100:.0f}: {now:.1f} ms, without downloads {before:.1f} ms")
    show("other calls, p99 / idle", busy.percentile(0.99) / idle.percentile(0.99), 3)


async def calls_at_a_steady_rate(port: int, calls: bytes) -> Outcome:
    outcome = Outcome()
    loop = asyncio.get_running_loop()

    async def one(_: int) -> None:
        begun = loop.time()
        connection = await connect(port)
        status, _body = await connection.send(calls)
        connection.close()
        outcome.latencies.append(loop.time() - begun)
        outcome.statuses[status] = outcome.statuses.get(status, 0) + 1

    await at_rate(CALLS_PER_SECOND, SECONDS, one)
    return outcome


def compare(what: str, pairs: list[tuple[float, float]], target: float) -> None:
    """Of pairs of MB/s that were measured in turns."""
    ours, theirs = (median(rates) for rates in zip(*pairs, strict=True))
    print(f"{ours:.0f} MB/s against {theirs:.0f} MB/s")
    show(what, median(one / other for one, other in pairs), target, at_least=True)


def show(what: str, value: float, target: float, *, at_least: bool = False) -> None:
    met = value >= target if at_least else value <= target
    sign, mark = "≥" if at_least else "≤", "met" if met else "MISSED"
    print(f"{what:<45} {value:10.3f} (target {sign} {target:g}: {mark})")


if __name__ == "__main__":
    main()
