"""Mirror the catalogue into a folder: its metadata, and the files of what is new.

    MMA_KEY=mma_… python3 mirror.py https://media.example FOLDER [--once]

Kill it at any moment and start it again: what is done is done, and the rest is done then.
"""

import gzip
import hashlib
import json
import os
import shutil
import sys
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import Request, urlopen

if len(sys.argv) < 3:
    sys.exit("usage: mirror.py https://media.example FOLDER [--once]; the key is in MMA_KEY")
API, FOLDER, IS_ONCE = sys.argv[1], Path(sys.argv[2]), "--once" in sys.argv
ASSETS, FILES, CURSOR = FOLDER / "assets", FOLDER / "files", FOLDER / "cursor"
PURPOSES = {"master", "broadcast"}  # which files to take


def main() -> None:
    ASSETS.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            if step() and IS_ONCE:
                return
        except HTTPError as error:
            answer = error.read().decode()
            # 404 and 410: what was asked for is no more, and the feed will say so.
            if error.code < 500 and error.code not in {404, 410, 429}:
                sys.exit(answer)
            wait_after(answer, seconds=int(error.headers.get("Retry-After", 5)))
        except (OSError, HTTPException) as error:
            wait_after(error)  # the line was cut, or the server is being restarted


def step() -> bool:
    """The export, or one page of changes; true at the end of the feed."""
    cursor = CURSOR.read_text() if CURSOR.exists() else None
    if not cursor:
        take_export(is_first=cursor is None)
        return False
    try:
        page = json.load(call(f"/v1/changes?after={cursor}&wait={0 if IS_ONCE else 30}"))
    except HTTPError as error:
        if error.code != 410:
            raise
        save(CURSOR, "")  # feed_reset, after a restore: take the export again, then go on
        return False
    for change in page["items"]:
        if change["asset"] is None:
            remove(change["asset_id"])
        else:
            keep(change["asset"], is_with_files=True)
    if page["next_after"] != cursor:
        remember(page["next_after"])
    return not page["items"]


def take_export(*, is_first: bool) -> None:
    """The whole catalogue as of one moment. The first brings no files, since it has all of them."""
    exports = json.load(call("/v1/exports"))["items"]
    if not exports:
        raise ConnectionError("There is no export yet")
    [file] = [each for each in exports[0]["files"] if each["format"] == "ndjson.gz"]
    path = FOLDER / f"{exports[0]['id']}.ndjson.gz"
    fetch(file["url"], path, file["size_bytes"], file["sha256"])
    gone = {each.stem for each in ASSETS.glob("*.json")}
    with gzip.open(path) as lines:
        for asset in map(json.loads, lines):
            keep(asset, is_with_files=not is_first)
            gone.discard(asset["id"])
    for asset_id in gone:
        remove(asset_id)
    remember(exports[0]["next_after"])
    for each in FOLDER.glob("*.ndjson.gz*"):
        each.unlink()


def keep(asset: dict[str, Any], *, is_with_files: bool) -> None:
    path, folder = ASSETS / f"{asset['id']}.json", FILES / asset["id"]
    content = json.dumps(asset, ensure_ascii=False, indent=1)
    if path.exists() and path.read_text(encoding="utf-8") == content:
        return
    if is_with_files:
        wanted = [each for each in asset["renditions"] if each["purpose"] in PURPOSES]
        names = {f"{each['sha256'][:12]}-{Path(each['filename']).name}": each for each in wanted}
        folder.mkdir(parents=True, exist_ok=True)
        for name, each in names.items():
            fetch(each["download"], folder / name, each["size_bytes"], each["sha256"])
        for old in folder.iterdir():
            if old.name not in names:
                old.unlink()
    save(path, content)  # last: it says that the files are there


def remove(asset_id: str) -> None:
    (ASSETS / f"{asset_id}.json").unlink(missing_ok=True)
    shutil.rmtree(FILES / asset_id, ignore_errors=True)


def fetch(url: str, path: Path, size: int, sha256: str) -> None:
    """Download a file, going on where an earlier try was cut off."""
    if path.exists():
        return
    part = part_of(path)
    with part.open("ab+") as file:
        if file.tell() < size:
            with call(url, Range=f"bytes={file.tell()}-") as response:
                if response.status != 206:  # the whole file, and no range of it
                    file.truncate(0)
                shutil.copyfileobj(response, file)
        file.seek(0)
        is_right = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    if not is_right:
        if part.stat().st_size >= size:
            part.unlink()  # it has other contents by now
        raise ConnectionError(f"{url} did not arrive whole")
    part.replace(path)


def save(path: Path, content: str) -> None:
    part_of(path).write_text(content, encoding="utf-8")
    part_of(path).replace(path)


def part_of(path: Path) -> Path:
    """Where a file is written: under its final name it is always whole."""
    return path.with_name(f"{path.name}.part")


def remember(cursor: str) -> None:
    os.sync()  # the work that a cursor stands for is on the disk before it
    save(CURSOR, cursor)


def call(path: str, **headers: str) -> HTTPResponse:
    request = Request(urljoin(API, path), headers=headers)
    # Not for the host that a redirect leads to: files may come from another one.
    request.add_unredirected_header("Authorization", f"Bearer {os.environ['MMA_KEY']}")
    response: HTTPResponse = urlopen(request, timeout=90)
    return response


def wait_after(what: object, *, seconds: int = 5) -> None:
    print(what, file=sys.stderr)
    time.sleep(seconds)


if __name__ == "__main__":
    main()
