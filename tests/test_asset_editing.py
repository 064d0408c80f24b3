"""The editors' desk: drafts, changes, corrections, and what two editors do to each other."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from tests.helpers import Api, Mailbox, audited, bearer, make_editor, sign_up

ASSETS = "/v1/assets"
VIDEO = {"type": "video", "title": "Frigates leave Naples"}


async def create(desk: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await desk.post(ASSETS, json={**VIDEO, **fields})
    assert response.status_code == 201, response.text
    asset: dict[str, Any] = response.json()
    assert response.headers["etag"] == '"v1"'
    assert response.headers["location"] == f"{ASSETS}/{asset['id']}"
    return asset


async def change(
    desk: httpx.AsyncClient, asset: dict[str, Any], patch: dict[str, Any]
) -> httpx.Response:
    """PATCH with the tag of the asset as it was read."""
    return await desk.patch(
        f"{ASSETS}/{asset['id']}",
        json=patch,
        headers={
            "If-Match": f'"v{asset["version"]}"',
            "Content-Type": "application/merge-patch+json",
        },
    )


async def act(
    desk: httpx.AsyncClient, asset: dict[str, Any], verb: str, body: Any = None
) -> httpx.Response:
    """Publish or withdraw, with the tag of the asset as it was read."""
    headers = {"If-Match": f'"v{asset["version"]}"'}
    return await desk.post(f"{ASSETS}/{asset['id']}/{verb}", json=body, headers=headers)


def pointers(response: httpx.Response) -> set[str]:
    assert response.status_code == 422, response.text
    return {error["pointer"] for error in response.json()["errors"]}


# Drafts


async def test_draft_is_seen_by_editors_alone(desk: Api, client: httpx.AsyncClient) -> None:
    asset = await create(desk)
    assert (asset["status"], asset["slug"]) == ("draft", "frigates-leave-naples")
    for reference in (asset["id"], asset["slug"]):
        assert (await desk.get(f"{ASSETS}/{reference}")).json() == asset
        assert (await client.get(f"{ASSETS}/{reference}")).status_code == 404
    assert (await desk.get(f"{ASSETS}/{asset['id']}")).headers["cache-control"] == "no-store"


async def test_same_title_gets_the_next_free_slug(desk: Api) -> None:
    slugs = [(await create(desk))["slug"] for _ in range(3)]
    assert slugs == [f"frigates-leave-naples{end}" for end in ("", "-2", "-3")]


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("L'été à Évian - un œil neuf", "l-ete-a-evian-un-oeil-neuf"),
        ("  A  B ", "a-b"),
        ("x" * 300, "x" * 100),
    ],
)
async def test_slug_is_made_from_the_title(desk: Api, title: str, slug: str) -> None:
    assert (await create(desk, title=title))["slug"] == slug


async def test_title_in_another_script_gets_a_slug_too(desk: Api) -> None:
    slug = (await create(desk, title="Флот выходит в море"))["slug"]
    assert slug.startswith("asset-")


async def test_slug_of_another_is_refused(desk: Api) -> None:
    await create(desk, slug="taken")
    response = await desk.post(ASSETS, json={**VIDEO, "slug": "taken"})
    assert (response.status_code, response.json()["code"]) == (409, "slug_taken")
    other = await create(desk)
    response = await change(desk, other, {"slug": "taken"})
    assert (response.status_code, response.json()["code"]) == (409, "slug_taken")


async def test_every_field_comes_back_as_it_was_sent(desk: Api) -> None:
    fields: dict[str, Any] = {
        "language": "fr",
        "spoken_languages": ["fr", "en"],
        "content_class": "broll",
        "headline": "Une manchette",
        "slugline": "NAPLES-FREGATES",
        "summary": "Deux lignes.\nEt un tableau\tici.",
        "body": "Long.",
        "script": "Voix : …",
        "transcript": "Bonjour.",
        "urgency": 4,
        "ed_note": "Not before the minister has spoken",
        "location": {
            "name": "Molo Beverello",
            "city": "Naples",
            "country": "IT",
            "latitude": 40.8377,
            "longitude": 14.2566,
        },
        "people": [
            {
                "name": "Ana Duarte",
                "role": "Commander",
                "rank": "OF-5",
                "relation": "heard",
                "uri": "https://example.org/ana",
            }
        ],
        "organisations": [{"name": "Standing Maritime Group 2", "uri": None}],
        "keywords": ["harbour", "frigate"],
        "subjects": [{"scheme": "medtop", "code": "20000056", "name": "armed forces"}],
        "credits": [{"role": "camera", "name": "J. Doe"}],
        "rights": {
            "usage_terms": "Free for editorial use",
            "credit_line": "Portal",
            "license": "https://example.org/licence",
            "copyright_notice": "© Portal",
            "copyright_holder": "Portal",
            "copyright_year": 2026,
            "data_mining": "DMI-PROHIBITED",
            "digital_source_type": "digitalCapture",
        },
        "restrictions": [
            {
                "kind": "geo",
                "rule": "deny",
                "values": ["FR"],
                "from": "2026-01-01",
                "to": None,
                "note": None,
            }
        ],
        "third_party": [
            {
                "kind": "music",
                "description": "Anthem",
                "owner": "Band",
                "start_ms": 0,
                "end_ms": 9000,
            }
        ],
        "alternative_ids": [{"role": "virin", "value": "261123-N-XX999-0001"}],
        "filmed_from": "2026-11-20",
        "filmed_to": "2026-11-21",
        "translations": {"en": {"title": "A headline", "headline": "More"}},
    }
    asset = await create(desk, **fields)
    assert {name: asset[name] for name in fields} == fields


async def test_nothing_but_type_and_title_is_needed(desk: Api) -> None:
    asset = await create(desk)
    assert (asset["language"], asset["people"], asset["rights"]) == ("en", [], None)
    assert pointers(await desk.post(ASSETS, json={})) == {"/type", "/title"}


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("type", "film", "/type"),
        ("title", "", "/title"),
        ("title", "a\nb", "/title"),
        ("title", "x" * 301, "/title"),
        ("slug", "Not A Slug", "/slug"),
        ("slug", "-x", "/slug"),
        ("slug", "0190b3a1-7d3c-7000-8000-3a1f0c2d4e5f", "/slug"),
        ("language", "English", "/language"),
        ("content_class", "funny", "/content_class"),
        ("body", "a\x1bb", "/body"),
        ("urgency", 10, "/urgency"),
        ("location", {"country": "Italy"}, "/location/country"),
        ("location", {"latitude": 91, "longitude": 0}, "/location/latitude"),
        ("location", {"latitude": 9}, "/location"),
        ("people", [{"name": ""}], "/people/0/name"),
        ("keywords", ["x" * 101], "/keywords/0"),
        ("shotlist", [{"text": "A ship"}], "/shotlist/0"),
        ("shotlist", [{"text": "A ship", "timecode_in": "1:2"}], "/shotlist/0/timecode_in"),
        (
            "shotlist",
            [{"text": "A ship", "timecode_in": "00:00:00:25"}],
            "/shotlist/0/timecode_in",
        ),
        ("shotlist", [{"text": "A", "start_ms": 5, "end_ms": 4}], "/shotlist/0"),
        (
            "shotlist",
            [{"text": "A", "timecode_in": "00:05", "timecode_out": "00:04"}],
            "/shotlist/0",
        ),
        ("filmed_to", "2026-02-30", "/filmed_to"),
        ("collections", ["no-such-series"], "/collections/0"),
        ("related", [{"id": "no-such-asset"}], "/related/0/id"),
        ("available_until", "2026-11-23T11:59:59Z", "/available_until"),
        ("available_until", "2026-11-24T12:00:00", "/available_until"),
        ("translations", {"french": {}}, "/translations/french"),
        ("rights", {"copyright_year": 1}, "/rights/copyright_year"),
        ("renditions", [], "/renditions"),
    ],
)
async def test_bad_field_is_named_by_its_pointer(
    desk: Api, field: str, value: Any, pointer: str
) -> None:
    found = pointers(await desk.post(ASSETS, json={**VIDEO, field: value}))
    assert {each.removesuffix("/[key]") for each in found} == {pointer}


async def test_shotlist_has_numbers_and_both_forms_of_time(desk: Api) -> None:
    shots = [
        {"text": "Bow of a frigate", "timecode_in": "00:00:00:00", "timecode_out": "00:00:07:12"},
        {"text": "“We sail tonight”", "start_ms": 7480, "kind": "soundbite", "speaker": "Duarte"},
        {"text": "Harbour", "timecode_in": "01:05"},
    ]
    asset = await create(desk, shotlist=shots)
    times = [
        (shot["number"], shot["timecode_in"], shot["start_ms"], shot["end_ms"])
        for shot in asset["shotlist"]
    ]
    assert times == [
        (1, "00:00:00:00", 0, 7480),
        (2, "00:00:07:12", 7480, None),
        (3, "01:05", 65_000, None),
    ]


async def test_keywords_are_those_of_the_vocabulary(desk: Api) -> None:
    await create(desk, keywords=["Côte d'Azur"])
    again = await create(desk, keywords=["cote d'azur", "COTE D'AZUR", "sea"])
    assert again["keywords"] == ["Côte d'Azur", "sea"]


# Changes


async def test_patch_merges(desk: Api) -> None:
    asset = await create(
        desk,
        headline="One",
        summary="Two",
        rights={"credit_line": "Portal", "copyright_year": 2026},
        translations={"fr": {"title": "Un"}, "de": {"title": "Eins"}},
        people=[{"name": "Ana"}, {"name": "Bo"}],
    )
    patch = {
        "headline": None,
        "summary": "Three",
        "rights": {"copyright_year": None, "copyright_holder": "Portal"},
        "translations": {"fr": {"headline": "Deux"}, "de": None},
        "people": [{"name": "Cy"}],
    }
    response = await change(desk, asset, patch)
    changed = response.json()
    assert (changed["version"], response.headers["etag"]) == (2, '"v2"')
    assert (changed["headline"], changed["summary"]) == (None, "Three")
    assert changed["rights"]["credit_line"] == "Portal"
    assert changed["rights"]["copyright_holder"] == "Portal"
    assert changed["rights"]["copyright_year"] is None
    assert changed["translations"] == {"fr": {"title": "Un", "headline": "Deux"}}
    assert [person["name"] for person in changed["people"]] == ["Cy"]


@pytest.mark.parametrize("field", ["title", "slug", "language"])
async def test_what_an_asset_needs_can_not_be_taken_away(desk: Api, field: str) -> None:
    asset = await create(desk)
    assert pointers(await change(desk, asset, {field: None})) == {f"/{field}"}


async def test_coordinates_are_checked_after_the_merge(desk: Api) -> None:
    asset = await create(desk, location={"latitude": 1.5, "longitude": 2})
    response = await change(desk, asset, {"location": {"longitude": None}})
    assert pointers(response) == {"/location"}


async def test_patch_that_changes_nothing_makes_no_version(desk: Api) -> None:
    asset = await create(desk, headline="One")
    response = await change(desk, asset, {"headline": "One", "title": asset["title"]})
    assert response.status_code == 200
    assert response.json()["version"] == 1


async def test_change_needs_the_tag_that_was_read(desk: Api) -> None:
    asset = await create(desk)
    address = f"{ASSETS}/{asset['id']}"
    for method, url, body in (
        ("PATCH", address, {"headline": "x"}),
        ("DELETE", address, None),
        ("POST", f"{address}/publish", {}),
        ("POST", f"{address}/withdraw", {"reason": "x"}),
    ):
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        for tag, status, code in (
            (None, 428, "precondition_required"),
            ('"v0"', 412, "precondition_failed"),
        ):
            headers = {"If-Match": tag} if tag else {}
            if body is not None:
                headers["Content-Type"] = content
            response = await desk.request(method, url, json=body, headers=headers)
            assert (response.status_code, response.json()["code"]) == (status, code)
    assert (await desk.get(address)).json() == asset


async def test_two_editors_never_overwrite_each_other(
    live_app: FastAPI, live_mailbox: Mailbox, live_database: Database
) -> None:
    async with Api(live_app) as desk:
        session = await sign_up(desk, live_mailbox, "editor@example.org")
        await make_editor(live_database, "editor@example.org")
        desk.headers.update(bearer(session))
        asset = await create(desk)
        titles = [f"Title {number}" for number in range(8)]
        answers = await asyncio.gather(*(change(desk, asset, {"title": t}) for t in titles))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [412] * 7
        kept = (await desk.get(f"{ASSETS}/{asset['id']}")).json()
        winner = next(answer for answer in answers if answer.status_code == 200)
        assert kept == winner.json()


async def test_same_title_at_the_same_moment_makes_two_slugs(
    live_app: FastAPI, live_mailbox: Mailbox, live_database: Database
) -> None:
    async with Api(live_app) as desk:
        session = await sign_up(desk, live_mailbox, "editor@example.org")
        await make_editor(live_database, "editor@example.org")
        desk.headers.update(bearer(session))
        made = await asyncio.gather(*(create(desk) for _ in range(6)))
        assert len({asset["slug"] for asset in made}) == 6


async def test_versions_keep_what_changed_and_who_did_it(desk: Api) -> None:
    asset = await create(desk, headline="One", people=[{"name": "Ana"}])
    await change(desk, asset, {"headline": "Two", "people": None})
    versions = (await desk.get(f"{ASSETS}/{asset['id']}/versions")).json()["items"]
    me = (await desk.get("/v1/account")).json()["id"]
    assert [(v["version"], v["kind"], v["account_id"]) for v in versions] == [
        (2, "edited", me),
        (1, "created", me),
    ]
    assert versions[0]["changes"]["headline"] == {"before": "One", "after": "Two"}
    assert versions[0]["changes"]["people"]["after"] is None
    assert set(versions[0]["changes"]) == {"headline", "people"}


async def test_versions_are_paged(desk: Api) -> None:
    asset = await create(desk)
    for number in range(4):
        asset = (await change(desk, asset, {"headline": f"H{number}"})).json()
    address = f"{ASSETS}/{asset['slug']}/versions"
    page = (await desk.get(address, params={"limit": 3})).json()
    rest = (await desk.get(address, params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [v["version"] for v in page["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None
    assert (await desk.get(f"{ASSETS}/no-such-asset/versions")).status_code == 404


# Corrections


async def test_correction_is_public_at_once_with_its_note(
    desk: Api, client: httpx.AsyncClient
) -> None:
    asset = (await act(desk, await create(desk), "publish")).json()
    patch = {"headline": "The right one", "note": "The ship's name was wrong"}
    corrected = (await change(desk, asset, patch)).json()
    assert corrected["version"] == 3
    public = await client.get(f"{ASSETS}/{asset['id']}")
    assert public.headers["etag"] == '"v3"'
    document = public.json()
    assert document["headline"] == "The right one"
    notes = [(v["version"], v["kind"], v["note"]) for v in document["versions"]]
    assert notes == [(2, "published", None), (3, "corrected", "The ship's name was wrong")]
    assert document["published_at"] == asset["published_at"]


async def test_what_is_public_keeps_its_address(desk: Api) -> None:
    asset = (await act(desk, await create(desk), "publish")).json()
    response = await change(desk, asset, {"slug": "elsewhere"})
    assert (response.status_code, response.json()["code"]) == (409, "asset_published")


async def test_note_for_editors_is_not_public(desk: Api, client: httpx.AsyncClient) -> None:
    asset = await create(desk, ed_note="SECRET-NOTE", title="Open")
    published = (await act(desk, asset, "publish")).json()
    assert published["ed_note"] == "SECRET-NOTE"
    for url in (f"{ASSETS}/{asset['id']}", ASSETS):
        assert "SECRET-NOTE" not in (await client.get(url)).text


# Deleting


async def test_draft_can_be_deleted(desk: Api) -> None:
    asset = await create(desk)
    response = await desk.delete(f"{ASSETS}/{asset['id']}", headers={"If-Match": '"v1"'})
    assert response.status_code == 204
    assert (await desk.get(f"{ASSETS}/{asset['id']}")).status_code == 404


async def test_what_was_public_can_not_be_deleted(desk: Api) -> None:
    asset = (await act(desk, await create(desk), "publish")).json()
    address = f"{ASSETS}/{asset['id']}"
    for version in (2, 3):
        response = await desk.delete(address, headers={"If-Match": f'"v{version}"'})
        assert (response.status_code, response.json()["code"]) == (409, "asset_published")
        await act(desk, asset, "withdraw", {"reason": "Wrong ship"})


async def test_each_step_is_audited(desk: Api, database: Database) -> None:
    asset = await create(desk)
    asset = (await change(desk, asset, {"headline": "x"})).json()
    asset = (await act(desk, asset, "publish")).json()
    asset = (await change(desk, asset, {"headline": "y"})).json()
    await act(desk, asset, "withdraw", {"reason": "Wrong ship"})
    steps = [action for action in await audited(database) if action.startswith("asset.")]
    assert steps == [
        "asset.created",
        "asset.edited",
        "asset.published",
        "asset.corrected",
        "asset.withdrawn",
    ]


async def test_same_idempotency_key_creates_once(desk: Api) -> None:
    headers = {"Idempotency-Key": "upload-7"}
    answers = [await desk.post(ASSETS, json=VIDEO, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
