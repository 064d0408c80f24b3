"""A gigabyte by clients that people use, with the client and the server killed on the way."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import PASSWORD
from tests.programs import PROJECT, Program, eventually, free_ports, program

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "upload_with_tus_js.mjs"
SIZE = 1024**3
EMAIL = "editor@example.org"


class Site:
    """A server that can be killed and started again at the same address."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self._port}"
        self._server = self._start()

    def _start(self) -> Program:
        arguments = ("serve", "--no-worker")
        server = self._stack.enter_context(program(self.folder, *arguments, PORT=str(self._port)))
        server.url = self.url
        server.wait_until_it_serves()
        return server

    def kill_and_start_again(self) -> None:
        self._server.kill()
        self._server = self._start()

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v1/uploads"

    def post(self, path: str, token: str | None = None, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def make_admin(self) -> str:
        """An access token."""
        subprocess.run(
            [sys.executable, "-m", "app", "create-admin", EMAIL],
            input=PASSWORD.encode(),
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(self.folder / "var")},
            check=True,
            capture_output=True,
        )
        return str(self.post("/v1/auth/login", email=EMAIL, password=PASSWORD)["access_token"])

    def digest_of(self, url: str) -> str:
        upload_id = url.rpartition("/")[2]
        with (self.folder / "var/objects/uploads" / upload_id).open("rb") as stored:
            return hashlib.file_digest(stored, "sha256").hexdigest()


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("site")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Site(folder, stack)


@dataclass
class Master:
    path: Path
    sha256: str


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    path, digest = tmp_path / "master.mxf", hashlib.sha256()
    noise = hashlib.shake_128(b"a master").digest(1024**2 - 8)
    with path.open("wb") as file:
        for number in range(SIZE // 1024**2):
            block = number.to_bytes(8) + noise
            digest.update(block)
            file.write(block)
    yield Master(path, digest.hexdigest())
    path.unlink()


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    if not shutil.which("npm"):
        pytest.skip("node and npm are not installed, so tus-js-client cannot be tried")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run([*command, "tus-js-client@4"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("npm cannot install tus-js-client here")
    return folder


def test_tus_js_client_finishes_although_it_and_the_server_were_killed(
    site: Site, master: Master, node_modules: Path, tmp_path: Path
) -> None:
    token = site.make_admin()
    site.post("/v1/assets", token, type="video", slug="a-draft", title="A draft", language="en")
    urls, log = tmp_path / "urls.json", tmp_path / "log"
    command = [
        *("node", str(SCRIPT), str(node_modules), str(master.path)),
        *(site.endpoint, token, "a-draft", str(urls)),
    ]

    def sent() -> int:
        lines = [line for line in log.read_text().splitlines() if line.startswith("sent ")]
        return int(lines[-1].split()[1]) if lines else 0

    with log.open("wb") as output:
        first = subprocess.Popen(command, stdout=output, stderr=output)
    eventually(lambda: sent() > SIZE // 4)
    first.kill()
    first.wait()
    log.write_text("")
    with log.open("ab") as output:
        second = subprocess.Popen(command, stdout=output, stderr=output)
    eventually(lambda: sent() > SIZE // 2)
    site.kill_and_start_again()
    assert second.wait(120) == 0, log.read_text()[-2000:]
    url = log.read_text().rstrip().rpartition("done ")[2]
    assert site.digest_of(url) == master.sha256


def test_curl_finishes_although_it_and_the_server_were_killed(site: Site, master: Master) -> None:
    token = site.make_admin()
    site.post("/v1/assets", token, type="video", slug="a-draft", title="A draft", language="en")
    common = ["curl", "-sS", "-D", "-", "-o", "-", "-H", "Tus-Resumable: 1.0.0"]
    common += ["-H", f"Authorization: Bearer {token}"]

    def call(*arguments: str) -> dict[str, str]:
        done = subprocess.run([*common, *arguments], capture_output=True, text=True, check=True)
        status, *fields = done.stdout.partition("\n\n")[0].splitlines()
        assert status.split()[1] in {"200", "201", "204"}, done.stdout
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in fields)}

    asset = b64encode(b"a-draft").decode()
    about = ["-H", f"Upload-Metadata: asset_id {asset}", "-H", f"Upload-Length: {SIZE}"]
    path = call("-X", "POST", *about, site.endpoint)["location"]
    url = f"{site.url}{path}"

    def patch(offset: int, *arguments: str) -> list[str]:
        headers = ["-H", f"Upload-Offset: {offset}"]
        headers += ["-H", "Content-Type: application/offset+octet-stream"]
        return ["-X", "PATCH", *headers, *arguments, "-T", "-", url]

    def offset() -> int:
        return int(call("--head", url)["upload-offset"])

    def send_from(start: int, *arguments: str) -> "subprocess.Popen[bytes]":
        with master.path.open("rb") as rest:
            rest.seek(start)
            return subprocess.Popen([*common, *patch(start, *arguments)], stdin=rest)

    client = send_from(0, "--limit-rate", "100M")
    time.sleep(3)
    client.kill()
    client.wait()
    eventually(lambda: offset() > 0)
    client = send_from(offset(), "--limit-rate", "100M")
    time.sleep(3)
    site.kill_and_start_again()
    assert client.wait(30) != 0
    time.sleep(8)  # the lease of the dead server
    assert 0 < offset() < SIZE
    assert send_from(offset()).wait(120) == 0
    assert offset() == SIZE
    assert site.digest_of(url) == master.sha256
