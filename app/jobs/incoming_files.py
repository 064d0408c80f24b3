"""Files on their way from the upload to the place where the store is to keep them."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from app.adapters import workspace
from app.adapters.storage import Storage
from app.adapters.upload_store import Part, UploadStore
from app.services.rendition_processing import Arrival, Claim
from app.services.rendition_rules import FileRefused


@dataclass(frozen=True, slots=True)
class IncomingFiles:
    """Programs that look into files need them on this machine: from elsewhere they are copied."""

    storage: Storage
    uploads: UploadStore

    async def read_back(
        self, claim: Claim, arrival: Arrival, folder: Path, *, on_part: Callable[[float], None]
    ) -> tuple[Path, str]:
        """Where an upload can be read on this machine, and its SHA-256.

        What is hashed is what the store has, not what came in. `on_part` is told which part of it
        was read.
        """
        digest = sha256()

        async def hashed() -> AsyncIterator[bytes]:
            done = 0
            async for chunk in self._read_upload(arrival):
                digest.update(chunk)
                done += len(chunk)
                on_part(done / claim.size_bytes)
                yield chunk

        path = self.uploads.open_path(arrival.upload_id)
        if path is not None:
            async for _ in hashed():
                pass
        else:
            path = _copy_in(folder)
            await workspace.save(hashed(), path, size_bytes=claim.size_bytes)
        return path, digest.hexdigest()

    async def store(self, claim: Claim, arrival: Arrival | None, folder: Path) -> Path:
        """See that the store has an accepted file under its key; where it is on this machine.

        A second copy of bytes that the store has already is discarded. Raises `FileRefused` when
        the upload is gone without having got so far.
        """
        key = str(claim.object_key)
        is_stored = await self.storage.has(key, size_bytes=claim.size_bytes)
        if arrival is None:
            if not is_stored:
                raise FileRefused("upload_lost")
            return self.storage.path_of(key) or await self._copy(claim, None, folder)
        path = self.storage.path_of(key)
        if path is None:
            path = await self._copy(claim, None if is_stored else arrival, folder)
        if not is_stored:
            await self._publish(claim, arrival, path)
        await self.uploads.discard(arrival.upload_id)
        return path

    async def _copy(self, claim: Claim, arrival: Arrival | None, folder: Path) -> Path:
        """The copy that was hashed, else a new one: of the upload, or of what the store has."""
        path = _copy_in(folder)
        if not path.exists():
            size = claim.size_bytes
            stored = self.storage.read(str(claim.object_key), start=0, end=size)
            chunks = self._read_upload(arrival) if arrival else stored
            await workspace.save(chunks, path, size_bytes=size)
        return path

    async def _publish(self, claim: Claim, arrival: Arrival, copy: Path) -> None:
        """A file in the store's own folder is moved; a store elsewhere is sent the copy."""
        key, filename, media_type = str(claim.object_key), claim.filename, claim.media_type
        if self.uploads.open_path(arrival.upload_id) is None:
            await self.storage.put_file(key, copy, filename=filename, media_type=media_type)
            return
        parts = _parts(arrival)
        await self.uploads.publish(
            arrival.upload_id, parts, key, filename=filename, media_type=media_type
        )

    def _read_upload(self, arrival: Arrival) -> AsyncIterator[bytes]:
        return self.uploads.read(arrival.upload_id, _parts(arrival))


def _copy_in(folder: Path) -> Path:
    return folder / "original"


def _parts(arrival: Arrival) -> Sequence[Part]:
    return [Part(each.start_bytes, each.size_bytes, each.object_key) for each in arrival.parts]
