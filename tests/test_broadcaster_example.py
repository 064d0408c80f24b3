"""The example script against a real server: cut, killed, revoked and reset, it keeps in step."""

import hashlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.helpers import PASSWORD
from tests.programs import PROJECT, eventually, free_ports, program

SCRIPT = PROJECT / "examples/broadcaster/mirror.py"
EMAIL = "editor@example.org"
SCOPES = ["assets:read", "assets:download", "changes:read"]
KILLS = 20
PATIENCE = 60  # seconds for an answer; these processes share the machine with other tests
RANGE = re.compile(rb"GET /v1/files/\S+ .*?range: bytes=(\d+)-", re.DOTALL | re.IGNORECASE)


class Newsroom:
    """An editor at a server, who publishes, corrects and withdraws; and a broadcaster's mirror."""

    def __init__(self, folder: Path, url: str, *, line: str) -> None:
        self.site, self.mirror, self.url = folder, folder / "mirror", url
        self._line = line  # where the mirror reaches the server
        login = {"email": EMAIL, "password": PASSWORD}
        answer = httpx.post(f"{url}/v1/auth/login", json=login, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        # The server closes a connection that was idle, maybe when it is just being used again.
        anew = httpx.Limits(max_keepalive_connections=0)
        self._desk = httpx.Client(base_url=url, headers=headers, timeout=PATIENCE, limits=anew)
        made = self._desk.post("/v1/api-keys", json={"name": "mirror", "scopes": SCOPES}).json()
        self._key, self._key_id = made["key"], made["id"]

    def close(self) -> None:
        self._desk.close()

    def publish(self, title: str) -> str:
        body = {"type": "story", "title": title, "body": title, "language": "en"}
        made = self._desk.post("/v1/assets", json=body)
        assert made.is_success, made.text
        asset_id = str(made.json()["id"])
        self._step(asset_id, "publish", {})
        return asset_id

    def correct(self, asset_id: str) -> None:
        body = {"title": f"Corrected {time.monotonic()}", "note": "It was wrong"}
        path = f"/v1/assets/{asset_id}"
        done = self._desk.patch(path, json=body, headers=self._version(asset_id))
        assert done.is_success, done.text

    def withdraw(self, asset_id: str) -> None:
        self._step(asset_id, "withdraw", {"reason": "Shown without permission"})

    def _step(self, asset_id: str, step: str, body: dict[str, str]) -> None:
        path = f"/v1/assets/{asset_id}/{step}"
        done = self._desk.post(path, json=body, headers=self._version(asset_id))
        assert done.is_success, done.text

    def _version(self, asset_id: str) -> dict[str, str]:
        return {"If-Match": self._desk.get(f"/v1/assets/{asset_id}").headers["etag"]}

    def revoke(self) -> None:
        assert self._desk.delete(f"/v1/api-keys/{self._key_id}").is_success

    def catalogue(self) -> dict[str, Any]:
        """All that is public, as anybody reads it."""
        found: dict[str, Any] = {}
        address: str | None = f"{self.url}/v1/assets?limit=100"
        with httpx.Client(timeout=PATIENCE) as anybody:
            while address:
                answer = anybody.get(address)
                for listed in answer.json()["items"]:
                    asset = anybody.get(f"{self.url}/v1/assets/{listed['id']}")
                    found[listed["id"]] = asset.json()
                address = answer.links.get("next", {}).get("url")
                address = str(answer.url.join(address)) if address else None
        return found

    def mirrored(self) -> dict[str, Any]:
        files = (self.mirror / "assets").glob("*.json")
        return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}

    def cursor(self) -> str:
        return (self.mirror / "cursor").read_text()

    def files(self) -> dict[str, set[str]]:
        """The names of the mirrored files, by their asset."""
        folders = [each for each in (self.mirror / "files").glob("*") if any(each.iterdir())]
        return {folder.name: {file.name for file in folder.iterdir()} for folder in folders}

    @contextmanager
    def mirroring(self) -> Iterator["subprocess.Popen[bytes]"]:
        """The script while it follows; killed at the end."""
        with subprocess.Popen(self._command(), env=self._environment()) as process:
            try:
                yield process
            finally:
                process.kill()

    def mirror_once(self) -> tuple[int, str]:
        """Exit code and what was said."""
        done = subprocess.run(
            [*self._command(), "--once"],
            env=self._environment(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stderr

    def _command(self) -> list[str | Path]:
        return [sys.executable, SCRIPT, self._line, self.mirror]

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "MMA_KEY": self._key}

    def command(self, *arguments: str, said: str = "") -> None:
        run_command(self.site, *arguments, said=said)


def run_command(site: Path, *arguments: str, said: str = "") -> None:
    subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        input=said.encode(),
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(site / "var")},
        check=True,
        capture_output=True,
        timeout=120,
    )


@contextmanager
def newsroom(folder: Path, *options: str, rate: int | None = None) -> Iterator[Newsroom]:
    """A server and its newsroom; with a `rate`, the mirror gets so many bytes a second."""
    front, port = free_ports(2)
    line = f"http://127.0.0.1:{front if rate else port}"
    environment = {"RATE_LIMITS": "off", "PORT": str(port), "PUBLIC_URL": line}
    with ExitStack() as stack:
        if rate:
            stack.enter_context(slow_line(front, port, rate=rate))
        server = stack.enter_context(
            program(folder, "serve", "--no-worker", *options, **environment)
        )
        server.url = f"http://127.0.0.1:{port}"
        server.wait_until_it_serves()
        run_command(folder, "create-admin", EMAIL, said=PASSWORD)
        desk = Newsroom(folder, server.url, line=line)
        yield desk
        desk.close()


@pytest.mark.slow
def test_mirror_is_the_catalogue_and_stays_in_step(tmp_path: Path) -> None:
    with newsroom(tmp_path) as desk:
        kept, corrected, withdrawn = (desk.publish(name) for name in ("Kept", "Old", "Wrong"))
        desk.command("export")
        assert desk.mirror_once() == (0, "")
        assert desk.mirrored() == desk.catalogue()
        assert desk.mirrored().keys() == {kept, corrected, withdrawn}
        before = desk.cursor()
        desk.correct(corrected)
        desk.withdraw(withdrawn)
        new = desk.publish("New")
        assert desk.mirror_once() == (0, "")
        assert desk.mirrored() == desk.catalogue()
        assert desk.mirrored().keys() == {kept, corrected, new}
        assert desk.cursor() != before
        assert {each.name for each in desk.mirror.iterdir()} == {"assets", "cursor"} | (
            {"files"} if (desk.mirror / "files").exists() else set()
        )
        desk.revoke()
        code, said = desk.mirror_once()
        assert code == 1
        assert json.loads(said)["code"] == "invalid_token"


@pytest.mark.slow
def test_mirror_that_is_killed_at_any_moment_misses_nothing(tmp_path: Path) -> None:
    """Also in the middle of files, of which none is ever seen in part under its final name."""
    chance = random.Random(20261130)  # noqa: S311  # the same kills in every run
    with newsroom(tmp_path, "--demo", rate=400_000) as desk, watched(desk.mirror) as torn:
        desk.command("export")
        videos = [each["id"] for each in desk.catalogue().values() if each["type"] == "video"]
        stories = [desk.publish("First")]
        for number in range(KILLS):
            with desk.mirroring():
                desk.correct(chance.choice(videos))
                stories.append(desk.publish(f"Story {number}"))
                if len(stories) > 3:
                    desk.withdraw(stories.pop(chance.randrange(len(stories))))
                time.sleep(chance.uniform(0, 1.5))
        assert desk.mirror_once() == (0, "")
        catalogue = desk.catalogue()
        assert desk.mirrored() == catalogue
        assert desk.files() == {
            each["id"]: names
            for each in catalogue.values()
            if each["version"] > 2 and (names := names_of_masters(each))
        }
        assert list(desk.mirror.rglob("*.part")) == []
    assert torn == []


@pytest.mark.slow
def test_file_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    with newsroom(tmp_path, "--demo", rate=200_000) as desk:
        desk.command("export")
        assert desk.mirror_once() == (0, "")
        [video] = [each for each in desk.catalogue().values() if names_of_masters(each)]
        desk.correct(video["id"])
        folder = desk.mirror / "files" / video["id"]
        with desk.mirroring():
            eventually(lambda: part_size(folder) > 100_000)
        arrived = part_size(folder)
        assert 0 < arrived < video["renditions"][0]["size_bytes"]
        RANGES.clear()
        assert desk.mirror_once() == (0, "")
        assert arrived in RANGES
        assert desk.files() == {video["id"]: names_of_masters(video)}
        [file] = folder.iterdir()
        assert hashlib.sha256(file.read_bytes()).hexdigest() == video["renditions"][0]["sha256"]


@pytest.mark.slow
def test_mirror_that_follows_begins_anew_after_a_reset_of_the_feed(tmp_path: Path) -> None:
    with newsroom(tmp_path) as desk:
        gone, kept = desk.publish("Gone"), desk.publish("Kept")
        desk.command("export")
        with desk.mirroring() as process:
            eventually(lambda: desk.mirrored().keys() == {gone, kept})
            desk.withdraw(gone)
            eventually(lambda: desk.mirrored().keys() == {kept})
            # As after a restore: what the mirror has is not what the new feed begins with.
            (desk.mirror / "assets" / f"{gone}.json").write_text("{}")
            desk.command("reset-feed")
            desk.command("export")
            eventually(lambda: desk.mirrored().keys() == {kept})
            new = desk.publish("New")
            eventually(lambda: desk.mirrored().keys() == {kept, new})
            assert desk.mirrored() == desk.catalogue()
            assert process.poll() is None


def names_of_masters(asset: dict[str, Any]) -> set[str]:
    return {
        f"{each['sha256'][:12]}-{each['filename']}"
        for each in asset["renditions"]
        if each["purpose"] in {"master", "broadcast"}
    }


def part_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.part"))


@contextmanager
def watched(mirror: Path) -> Iterator[list[str]]:
    """Hashes whatever has a final name, all the while; names those that are not whole."""
    torn: list[str] = []
    stopping = Event()

    def look() -> None:
        for folder in [*mirror.glob("files/*"), mirror / "assets"]:
            with suppress(FileNotFoundError):  # its asset was withdrawn meanwhile
                look_into(folder)

    def look_into(folder: Path) -> None:
        for file in folder.iterdir():
            if file.suffix == ".part":
                continue
            with suppress(FileNotFoundError):  # it was replaced meanwhile
                content = file.read_bytes()
                is_json = file.suffix == ".json"
                digest = hashlib.sha256(content).hexdigest()
                if content[-2:] != b"\n}" if is_json else not file.name.startswith(digest[:12]):
                    torn.append(file.name)

    def watch() -> None:
        while not stopping.wait(0.02):
            look()

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield torn
    finally:
        stopping.set()
        watcher.join()


RANGES: list[int] = []


@contextmanager
def slow_line(front: int, port: int, *, rate: int) -> Iterator[None]:
    """Passes on what comes to a port, at so many bytes a second, and notes the ranges asked for."""
    listener = socket.create_server(("127.0.0.1", front))

    def accept() -> None:
        with suppress(OSError):  # closed at the end
            while True:
                client, _ = listener.accept()
                Thread(target=carry, args=(client,), daemon=True).start()

    def carry(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            Thread(target=ask, args=(client, server), daemon=True).start()
            with suppress(OSError):  # the mirror was killed
                while answer := server.recv(16_384):
                    client.sendall(answer)
                    time.sleep(len(answer) / rate)

    def ask(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(65_536):
                RANGES.extend(map(int, RANGE.findall(request)))
                server.sendall(request)
            server.shutdown(socket.SHUT_WR)

    acceptor = Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
