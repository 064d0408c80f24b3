"""An SMTP server that takes every mail and writes down when and for whom: one line each.

`XCOUNT` is answered with the number of mails so far. The lines appear within a twentieth of a
second, in larger writes: one for each mail would be the sink's own limit.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import cast

import uvloop
from typing_extensions import override

FLUSH_INTERVAL = 0.05
END_OF_MAIL = b"\r\n.\r\n"


class Journal:
    def __init__(self, path: Path) -> None:
        self.count = 0
        self._file = path.open("ab")
        self._lines: list[bytes] = []

    def note(self, recipient: bytes) -> None:
        self.count += 1
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_INTERVAL, self._flush)
        self._lines.append(b"%.6f %s\n" % (time.time(), recipient))

    def _flush(self) -> None:
        self._file.write(b"".join(self._lines))
        self._file.flush()
        self._lines.clear()


class Connection(asyncio.Protocol):
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._buffer = b""
        self._recipient = b""
        self._is_in_mail = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # a TCP connection
        self._transport.write(b"220 sink\r\n")

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            line, end, rest = self._buffer.partition(END_OF_MAIL if self._is_in_mail else b"\r\n")
            if not end:
                return
            self._buffer = rest
            if self._is_in_mail:
                self._is_in_mail = False
                self._journal.note(self._recipient)
                self._transport.write(b"250 taken\r\n")
            else:
                self._obey(line)

    def _obey(self, line: bytes) -> None:
        verb = line[:4].upper()
        answer = b"250 SMTPUTF8"
        if verb == b"DATA":
            self._is_in_mail = True
            answer = b"354 go on"
        elif verb == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0]
        elif verb == b"EHLO":
            answer = b"250-sink\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 SMTPUTF8"
        elif verb == b"XCOU":
            answer = b"250 %d" % self._journal.count
        elif verb == b"QUIT":
            answer = b"221 bye"
        self._transport.write(answer + b"\r\n")
        if verb == b"QUIT":
            self._transport.close()


async def main(port: int, log: Path) -> None:
    journal = Journal(log)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(journal), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2])))
