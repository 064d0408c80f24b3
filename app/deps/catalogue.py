"""The files of the catalogue, and its documents as the desk sees them."""

from functools import partial
from typing import Annotated, cast

from fastapi import Depends, Request

from app.adapters.storage import Storage
from app.adapters.upload_store import UploadStore, open_upload_store
from app.deps.application import DeploymentDep
from app.deps.clock import Now
from app.services import derived_files
from app.services.derived_files import DeskView


async def get_storage(request: Request) -> Storage:
    return cast("Storage", request.app.state.storage)


StorageDep = Annotated[Storage, Depends(get_storage)]


async def get_upload_store(request: Request) -> UploadStore:
    return open_upload_store(request.app.state.storage)


UploadStoreDep = Annotated[UploadStore, Depends(get_upload_store)]


async def get_desk_view(deployment: DeploymentDep, now: Now) -> DeskView:
    """What makes an editor's document of a rendered one, for the desk of this minute."""
    return partial(derived_files.with_signed_addresses, keyring=deployment.keyring, now=now)


DeskViewDep = Annotated[DeskView, Depends(get_desk_view)]
