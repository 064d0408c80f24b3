"""A large list of subscribers through the project's own server, with the memory that it takes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx
import pytest

from tests.helpers import PASSWORD
from tests.programs import PROJECT, program

LINES = 200_000
EDITOR = "editor@example.org"
ADDRESS = "/v1/newsletter/subscribers"


def file() -> Iterator[bytes]:
    """Every hundredth line is broken, and every tenth person has left."""
    yield b"email;status;topics;subscribed_at;ended_at\r\n"
    for first in range(0, LINES, 500):
        yield b"".join(map(line, range(first, first + 500)))


def line(number: int) -> bytes:
    if number % 100 == 99:
        return b'"broken;;;\xff\r\n'
    email = f"person{number}@mail{number % 97}.example.org"
    if number % 10 == 0:
        ending = "unsubscribed;;2025-01-01T00:00:00Z;2025-02-01T00:00:00Z"
    else:
        ending = "subscribed;images videos;2025-01-01T00:00:00Z;"
    return f"{email};{ending}\r\n".encode()


def peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def log_in(url: str, folder: Path) -> dict[str, str]:
    subprocess.run(
        [sys.executable, "-m", "app", "create-admin", EDITOR],
        input=PASSWORD.encode(),
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder / "var")},
        check=True,
        capture_output=True,
    )
    body = {"email": EDITOR, "password": PASSWORD}
    answer = httpx.post(f"{url}/v1/auth/login", json=body, timeout=60)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.mark.slow
def test_two_hundred_thousand_lines_go_in_and_out_in_flat_memory(tmp_path: Path) -> None:
    with program(tmp_path, "serve", "--no-worker") as server:
        url = server.wait_until_it_serves()
        headers = log_in(url, tmp_path)
        with httpx.Client(base_url=url, headers=headers, timeout=300) as client:
            fields = {"Content-Type": "text/csv"}
            params = {"consent_source": "The former system"}

            def send(content: bytes | Iterator[bytes]) -> dict[str, int]:
                answer = client.post(ADDRESS, params=params, content=content, headers=fields)
                assert answer.status_code == 200, answer.text
                return answer.json()  # type: ignore[no-any-return]

            send(b"".join(islice(file(), 7)))
            before = peak_megabytes(server.pid)
            report = send(file())
            assert (report["lines"], report["errors_total"]) == (200_000, 2_000)
            assert (report["imported"], report["unchanged"]) == (195_030, 2_970)
            again = send(file())
            assert (again["imported"], again["updated"], again["unchanged"]) == (0, 0, 198_000)
            with client.stream("GET", ADDRESS, params={"state": "unsubscribed"}) as export:
                exported = sum(1 for _ in export.iter_lines())
            assert exported == 20_001
            assert peak_megabytes(server.pid) - before < 32
