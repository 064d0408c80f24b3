"""Downloads at once, as a program of its own: it reads and throws away, for so many seconds."""

import selectors
import socket
import sys
import time

BUFFER_BYTES = 1024 * 1024


def download(port: int, path: str) -> float:
    """One file to its end; gives megabytes a second."""
    buffer = bytearray(BUFFER_BYTES)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(_request(path))
        begun, total = time.perf_counter(), 0
        while count := connection.recv_into(buffer):
            total += count
        return total / (time.perf_counter() - begun) / 1_000_000


def download_at_once(port: int, path: str, *, connections: int, seconds: float) -> None:
    """Begin again with each that ends.

    Prints a line when all are under way, and in the end bytes: all, the least and the most of one.
    """
    selector = selectors.DefaultSelector()
    buffer = bytearray(BUFFER_BYTES)
    totals = [0] * connections

    def begin(number: int) -> None:
        opened = socket.create_connection(("127.0.0.1", port))
        opened.sendall(_request(path))
        opened.setblocking(False)
        selector.register(opened, selectors.EVENT_READ, number)

    for number in range(connections):
        begin(number)
    deadline: float | None = None
    before = totals
    while deadline is None or time.perf_counter() < deadline:
        for key, _ in selector.select(0.1):
            opened = key.fileobj
            assert isinstance(opened, socket.socket)  # noqa: S101  # registered above
            if count := opened.recv_into(buffer):
                totals[key.data] += count
            else:
                selector.unregister(opened)
                opened.close()
                begin(key.data)
        if deadline is None and min(totals) > 0:
            print("under way", flush=True)
            deadline, before = time.perf_counter() + seconds, list(totals)
    totals = [total - earlier for total, earlier in zip(totals, before, strict=True)]
    print(sum(totals), min(totals), max(totals))


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()


if __name__ == "__main__":
    download_at_once(
        int(sys.argv[1]), sys.argv[2], connections=int(sys.argv[3]), seconds=float(sys.argv[4])
    )
