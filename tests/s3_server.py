"""A SeaweedFS server on loopback: real S3, which can be stopped and started again."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.programs import PATIENCE, free_ports, status_of

WEED = Path(sys.executable).parent / "weed"
IDENTITY = {
    "name": "tests",
    "credentials": [{"accessKey": "tests", "secretKey": "secret-of-tests"}],
    "actions": ["Admin", "Read", "Write", "List"],
}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


class EndedAtOnce(Exception):
    """It could not begin: most likely one of its ports was taken."""


class S3Server:
    def __init__(self, folder: Path) -> None:
        (folder / "s3.json").write_text(json.dumps({"identities": [IDENTITY]}))
        names = [*PORTS, *(f"{port}.grpc" for port in PORTS)]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._command = [
            *(str(WEED), f"-logdir={folder}", "server", f"-dir={folder}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
            *(f"-s3.config={folder}/s3.json", "-volume.max=4", "-master.volumeSizeLimitMB=64"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            *(f"-{name}={port}" for name, port in ports.items()),
        ]
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        credentials = "access_key_id=tests&secret_access_key=secret-of-tests"
        self.storage_url = f"s3://media?endpoint={self.endpoint}&region=us-east-1&{credentials}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers; it can store a little later."""
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stderr=nothing, stdout=nothing)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None:
                raise EndedAtOnce
            assert time.monotonic() < deadline, "the S3 server does not start"
            time.sleep(0.05)

    def _answers(self) -> bool:
        return status_of(self.endpoint, timeout=1) is not None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # it would take its time to leave
            self._process.wait()


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    server = _started(folder)
    try:
        yield server
    finally:
        server.stop()


def _started(folder: Path) -> S3Server:
    """Between the choice of a port and its use another test's program may take it."""
    for _ in range(4):
        server = S3Server(folder)
        try:
            server.start()
        except EndedAtOnce:
            continue
        except BaseException:
            server.stop()
            raise
        return server
    raise EndedAtOnce
