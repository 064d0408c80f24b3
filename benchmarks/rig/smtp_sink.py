"""An SMTP server that takes every mail and writes down when and for whom: one line each."""

import asyncio
import re
import sys
import time
from pathlib import Path

_RECIPIENT = re.compile(rb"RCPT TO:<([^>]+)>", re.IGNORECASE)


async def serve_connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Path
) -> None:
    recipient = b""
    writer.write(b"220 sink\r\n")
    with log.open("ab", buffering=0) as file:
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                file.write(f"{time.time()} ".encode() + recipient + b"\n")
            elif verb == b"RCPT" and (match := _RECIPIENT.match(line)):
                recipient = match[1]
            elif verb == b"EHLO":
                writer.write(b"250-sink\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n")
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 SMTPUTF8\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
    writer.close()


async def main(port: int, log: Path) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: serve_connection(reader, writer, log), "127.0.0.1", port
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
