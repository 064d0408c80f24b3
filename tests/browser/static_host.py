"""A static host as docs/browser-app.md asks for, on a port of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from typing_extensions import override


class StaticHost(SimpleHTTPRequestHandler):
    @override
    def translate_path(self, path: str) -> str:
        return super().translate_path(path if path.startswith("/ui/") else "/index.html")

    @override
    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        super().end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def static_host(folder: Path, port: int) -> Iterator[None]:
    def handler(*args: object) -> StaticHost:
        return StaticHost(*args, directory=str(folder))  # type: ignore[arg-type]

    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()
