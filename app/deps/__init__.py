"""What a router may ask for. Routers get everything from here, and nothing from app.db.

All are coroutines: FastAPI would run a plain function in a thread, for a hundred microseconds.
"""

from app.deps.application import (
    AccessTokensDep,
    AddressesDep,
    DeploymentDep,
    FrameAncestors,
    HasherDep,
    KeyGateDep,
    NewsroomDep,
    SettingsDep,
    get_hasher,
    get_newsroom,
)
from app.deps.authentication import (
    AnyCaller,
    CurrentAccount,
    KnownCaller,
    PasswordCheckDep,
    get_account,
)
from app.deps.authorization import (
    PUBLIC_READ,
    ActingEditor,
    AssetReader,
    ChangesReader,
    CurrentAdmin,
    CurrentEditor,
    Downloader,
    OptionalCaller,
    WebhooksManager,
    allowed,
)
from app.deps.catalogue import DeskViewDep, StorageDep, UploadStoreDep, get_upload_store
from app.deps.changes import ChangeHubDep, ChangesWatcher, RoomToWait
from app.deps.clock import Clock, Now
from app.deps.database import (
    PublicReaderDep,
    ReaderDep,
    SessionDep,
    Transactions,
    get_public_reader,
    get_reader,
)
from app.deps.http import (
    NO_STORE,
    CurrentClient,
    OptionalVersionCheckDep,
    PageDep,
    PreferredLocale,
    VersionCheckDep,
)

__all__ = [
    "NO_STORE",
    "PUBLIC_READ",
    "AccessTokensDep",
    "ActingEditor",
    "AddressesDep",
    "AnyCaller",
    "AssetReader",
    "ChangeHubDep",
    "ChangesReader",
    "ChangesWatcher",
    "Clock",
    "CurrentAccount",
    "CurrentAdmin",
    "CurrentClient",
    "CurrentEditor",
    "DeploymentDep",
    "DeskViewDep",
    "Downloader",
    "FrameAncestors",
    "HasherDep",
    "KeyGateDep",
    "KnownCaller",
    "NewsroomDep",
    "Now",
    "OptionalCaller",
    "OptionalVersionCheckDep",
    "PageDep",
    "PasswordCheckDep",
    "PreferredLocale",
    "PublicReaderDep",
    "ReaderDep",
    "RoomToWait",
    "SessionDep",
    "SettingsDep",
    "StorageDep",
    "Transactions",
    "UploadStoreDep",
    "VersionCheckDep",
    "WebhooksManager",
    "allowed",
    "get_account",
    "get_hasher",
    "get_newsroom",
    "get_public_reader",
    "get_reader",
    "get_upload_store",
]
