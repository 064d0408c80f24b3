"""The browser app as files: its addresses, its policy, what imports what, and its words."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import get_args

import httpx
import pytest
from pydantic_core import core_schema
from starlette.routing import Route

from app.main import ROUTERS
from app.routers import browser_app
from tests.programs import PROJECT

FOLDER = browser_app.FOLDER
UI = FOLDER / "ui"
VENDOR = UI / "vendor"
INDEX = (FOLDER / "index.html").read_text()
LANGUAGES = ("en", "fr")


def modules() -> list[Path]:
    """Our own, without what others have published."""
    return sorted(path for path in UI.rglob("*.js") if VENDOR not in path.parents)


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(FOLDER)) for path in paths]


# Addresses


def addresses() -> list[str]:
    """Those of pages.js, with something in the place of each parameter."""
    found = re.findall(r'^  page\("([^"]+)"', (UI / "pages.js").read_text(), re.MULTILINE)
    return [re.sub(r":\w+", "some-thing", address) for address in found]


@pytest.mark.parametrize("address", addresses())
async def test_every_address_of_the_app_is_answered_with_its_page(
    client: httpx.AsyncClient, address: str
) -> None:
    answer = await client.get(address)
    assert answer.text == INDEX
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"


def test_no_address_is_answered_that_the_app_does_not_know() -> None:
    assert len(addresses()) > 20
    for served in browser_app.ADDRESSES:
        pattern = re.sub(r"\{\w+:path\}", ".+", re.sub(r"\{\w+\}", "[^/]+", served))
        assert any(re.fullmatch(pattern, address) for address in addresses()), served


# As Chromium asks for a page.
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("address", ["/assetz", "/search/more", "/account.php"])
async def test_wrong_address_is_answered_with_the_page_that_says_so(
    client: httpx.AsyncClient, address: str
) -> None:
    answer = await client.get(address, headers={"Accept": PAGE})
    assert (answer.status_code, answer.text) == (404, INDEX)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"].startswith("Accept")
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("method", "address", "accept"),
    [
        ("GET", "/assetz", None),
        ("GET", "/assetz", "*/*"),
        ("GET", "/assetz", "application/json, text/html;q=0.5, */*;q=0.1"),
        ("GET", "/assetz", "image/png"),
        ("POST", "/assetz", PAGE),
        ("GET", "/v1/assetz", PAGE),
        ("GET", "/v1", PAGE),
        ("GET", "/ui/no-such.js", PAGE),
    ],
)
async def test_programs_and_the_paths_of_the_api_get_a_problem_document(
    client: httpx.AsyncClient, method: str, address: str, accept: str | None
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await client.request(method, address, headers=headers)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_folders_of_the_api_are_not_taken_for_those_of_the_app(
    client: httpx.AsyncClient,
) -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]
    paths = {route.path for route in routes} - {*browser_app.ADDRESSES}
    folders = {path.split("/")[1] for path in paths if path.count("/") > 1}
    assert {"v1", "oauth", ".well-known"} <= folders
    for folder in folders:
        answer = await client.get(f"/{folder}/no/such", headers={"Accept": PAGE})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json", folder


async def test_files_are_asked_for_anew_and_mostly_not_sent_again(
    client: httpx.AsyncClient,
) -> None:
    file = await client.get("/ui/main.js")
    assert file.headers["content-type"].startswith("text/javascript")
    assert file.headers["cache-control"] == "no-cache"
    again = await client.get("/ui/main.js", headers={"If-None-Match": file.headers["etag"]})
    assert again.status_code == 304


async def test_nothing_beside_the_folder_is_served(client: httpx.AsyncClient) -> None:
    for path in ("/ui/../index.html", "/ui/%2e%2e/README.md", "/ui/", "/ui/screens"):
        assert (await client.get(path)).status_code == 404, path


@pytest.mark.parametrize("address", ["/", "/verify", "/newsletter/unsubscribe", "/assets/a-slug"])
async def test_plain_pages_stand_where_there_is_no_browser_app(
    plain_client: httpx.AsyncClient, address: str
) -> None:
    page = await plain_client.get(address)
    assert page.status_code == 200
    assert '"/static/page.css"' in page.text


# The page and its files


def test_policy_lets_in_files_of_our_own_alone() -> None:
    [written] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', INDEX)
    policy = {name: rest for name, *rest in map(str.split, written.split(";"))}
    assert policy.pop("default-src") == policy.pop("base-uri") == ["'none'"]
    assert policy.pop("require-trusted-types-for") == ["'script'"]
    assert policy.pop("trusted-types") == ["lit-html"]
    assert policy.pop("img-src") == ["'self'", "data:"]
    assert {*policy} == {
        "script-src",
        "style-src",
        "connect-src",
        "media-src",
        "frame-src",
        "form-action",
    }
    assert all(sources == ["'self'"] for sources in policy.values())


def test_page_has_no_script_or_style_of_its_own() -> None:
    assert re.findall(r"<script[^>]*>(.*?)</script>", INDEX) == [""]
    assert not re.search(r"<style|\s(on\w+|style)=|javascript:", INDEX)


def test_page_names_files_that_exist() -> None:
    files = re.findall(r'(?:src|href)="(/ui/[^"]+)"', INDEX)
    assert len(files) > 5
    assert [file for file in files if not (FOLDER / file[1:]).is_file()] == []
    styles = {path.stem for path in (UI / "styles").glob("*.css")}
    later = set(re.findall(r'styles: "(\w+)"', (UI / "pages.js").read_text()))
    assert styles == later | set(re.findall(r'href="/ui/styles/(\w+)\.css"', INDEX))


def source(module: Path) -> str:
    """Without comments that fill their lines."""
    return re.sub(r"^\s*(//|\*|/\*).*$", "", module.read_text(), flags=re.MULTILINE)


IMPORT = re.compile(r'(?:^|;)(?:import|export)\b(?:[^;"]*?\bfrom)?\s*"([^"]+)"', re.MULTILINE)


def static_imports(module: Path) -> Iterator[Path]:
    for name in IMPORT.findall(source(module)):
        assert name.startswith("."), f"{module}: {name}"
        yield (module.parent / name).resolve()


def imports(module: Path) -> Iterator[Path]:
    text = source(module)
    yield from static_imports(module)
    for name in re.findall(r'\bimport\("([^"]+)"\)', text):
        yield (module.parent / name).resolve()
    for subject in re.findall(r'\btexts\("([\w-]+)"\)', text):
        yield from (UI / "texts" / language / f"{subject}.js" for language in LANGUAGES)


def test_modules_import_what_exists() -> None:
    missing = {
        (str(each), name)
        for each in modules()
        for name in named([*imports(each)])
        if not (FOLDER / name).is_file()
    }
    assert missing == set()


def test_every_module_is_imported() -> None:
    reached, waiting = set(), [UI / "main.js"]
    while waiting:
        module = waiting.pop()
        if module not in reached and module.is_file():
            reached.add(module)
            waiting += imports(module)
    assert named([each for each in modules() if each not in reached]) == []


def test_page_asks_at_once_for_all_that_it_begins_with() -> None:
    """Else each module is asked for when the one before has come, over every line's delay."""
    begun, waiting = set(), [UI / "main.js"]
    while waiting:
        module = waiting.pop()
        if module not in begun:
            begun.add(module)
            waiting += static_imports(module)
    preloaded = set(re.findall(r'"modulepreload" href="/([^"]+)"', INDEX))
    assert preloaded == {*named([*begun])} - {"ui/main.js"}


def test_modules_put_no_markup_into_the_page_but_by_templates() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|unsafeHTML|\beval\(|new Function"
        r"|\sstyle=|<style|\son[a-z]+=\""
    )
    found = {name: forbidden.findall((FOLDER / name).read_text()) for name in named(modules())}
    assert {name: words for name, words in found.items() if words} == {}


def test_files_stay_small_enough_to_be_read() -> None:
    ours = [*modules(), *(UI / "styles").glob("*.css"), *FOLDER.glob("*.*")]
    assert named([path for path in ours if len(path.read_text().splitlines()) > 250]) == []


def classes(style: Path) -> set[str]:
    rules = re.sub(r"/\*.*?\*/", "", style.read_text(), flags=re.DOTALL)
    return {
        name
        for selector in re.findall(r"([^{}]+)\{", rules)
        for name in re.findall(r"\.([a-z][a-z0-9-]*)", selector)
    }


def test_no_class_is_styled_by_two_subjects() -> None:
    """All stylesheets are loaded at once, so a rule would reach into the other's screens."""
    common = {"base.css", "forms.css"}
    styles = {path.name: classes(path) for path in (UI / "styles").glob("*.css")}
    shared = set.union(*(styles.pop(name) for name in common))
    for (one, first), (other, second) in combinations(styles.items(), 2):
        assert (first & second) - shared == set(), f"{one} and {other}"


# Words


def keys(module: Path) -> list[str]:
    """Names of the texts, as they stand two or more spaces in."""
    return re.findall(r'^ +"?([\w-]+)"?(?=:(?: |$)|\()', module.read_text(), re.MULTILINE)


def test_texts_have_the_same_keys_in_every_language() -> None:
    english, french = (UI / "texts" / language for language in LANGUAGES)
    subjects = sorted(path.name for path in english.iterdir())
    assert subjects == sorted(path.name for path in french.iterdir())
    for subject in subjects:
        assert sorted(keys(english / subject)) == sorted(keys(french / subject)), subject


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_for_an_error_belong_to_a_code(language: str) -> None:
    ours = [path for path in modules() if UI / "texts" not in path.parents]  # it tells some apart
    sources = "".join(path.read_text() for path in [*(PROJECT / "app").rglob("*.py"), *ours])
    known = {*re.findall(r'(?:"|problems\.)([a-z0-9_]+)', sources)}
    known |= {*get_args(core_schema.ErrorType)}
    codes = keys(UI / "texts" / language / "problems.js")
    assert {*codes} <= known
    assert len(codes) == len({*codes})  # the later of two would win, unseen


# What others have published


def vendored() -> list[tuple[str, str, str]]:
    """Package with version, file in it, SHA-256: the table of the folder's README."""
    text = (VENDOR / "README.md").read_text()
    return re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)


def place(package: str, file: str) -> Path:
    return VENDOR / package.rpartition("@")[0] / file.removeprefix("dist/")


def test_vendored_files_are_those_that_are_written_down() -> None:
    files = {place(package, file): digest for package, file, digest in vendored()}
    found = {path for path in VENDOR.rglob("*") if path.is_file()} - {VENDOR / "README.md"}
    assert found == {*files}
    for path, digest in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, path
    folders = {path for path in VENDOR.iterdir() if path.is_dir()}
    assert {path.parent for path in files if path.name == "LICENSE"} == folders


@pytest.mark.slow
def test_vendored_files_are_as_published(tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("Node is needed; on Debian and Ubuntu: apt-get install nodejs npm")
    for package in {package for package, _, _ in vendored()}:
        command = ["npm", "pack", "--silent", package]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            pytest.skip(f"packages are needed; see why they don't come: {' '.join(command)}")
        folder = tmp_path / package
        shutil.unpack_archive(tmp_path / done.stdout.strip(), folder, filter="data")
        for name, file, _ in vendored():
            if name == package:
                assert place(name, file).read_bytes() == (folder / "package" / file).read_bytes()
