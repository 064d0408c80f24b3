"""OAI-PMH 2.0, verb by verb, and each error of the protocol."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from lxml import etree
from sqlalchemy import text

from app.db import Database
from app.services import oai, policy
from tests.factories import add_draft, create, publish, publish_story, publish_video, withdraw

NAMES = {
    "o": "http://www.openarchives.org/OAI/2.0/",
    "oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "e": "urn:ebu:metadata-schema:ebucore",
}
HOST = "127.0.0.1"  # of the tests' PUBLIC_URL
BASE_URL = "http://127.0.0.1:8000/oai"


def identifier(asset_id: UUID) -> str:
    return f"oai:{HOST}:{asset_id}"


class Answer:
    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/xml; charset=utf-8"
        self.root = etree.fromstring(response.content)

    def all(self, path: str) -> list[str]:
        found: Any = self.root.xpath(path, namespaces=NAMES)
        return [str(value) for value in found]

    @property
    def error(self) -> str | None:
        return next(iter(self.all("//o:error/@code")), None)

    @property
    def identifiers(self) -> list[str]:
        return self.all("//o:header/o:identifier/text()")

    @property
    def token(self) -> str | None:
        return next(iter(self.all("//o:resumptionToken/text()")), None)

    @property
    def echoed(self) -> dict[str, str]:
        request: Any = self.root.find("o:request", NAMES)
        assert request.text == BASE_URL
        return dict(request.attrib)


async def ask(client: httpx.AsyncClient, verb: str, **arguments: str) -> Answer:
    """`since` stands for `from`, which is a word of Python."""
    names = {"since": "from"}
    named = {names.get(name, name): value for name, value in arguments.items()}
    return Answer(await client.get("/oai", params={"verb": verb, **named}))


async def list_records(client: httpx.AsyncClient, **arguments: str) -> Answer:
    return await ask(client, "ListRecords", **{"metadataPrefix": "oai_dc", **arguments})


async def committed_at(database: Database, asset_id: UUID, moment: datetime) -> None:
    """Let the latest change of an asset have been committed at another time."""
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE change SET committed_at = :moment WHERE asset_id = :id AND is_latest"),
            {"moment": moment, "id": asset_id},
        )


# Verbs


async def test_identify(app: FastAPI, client: httpx.AsyncClient, database: Database) -> None:
    first = await publish_story(app, "first")
    await publish_story(app, "second")
    await committed_at(database, first, datetime(2026, 11, 1, 9, 30, 15, 600_000, UTC))
    answer = await ask(client, "Identify")
    facts = {
        etree.QName(fact).localname: fact.text
        for fact in answer.root.iterfind("o:Identify/*", NAMES)
    }
    assert facts == {
        "repositoryName": "Media assets of 127.0.0.1",
        "baseURL": BASE_URL,
        "protocolVersion": "2.0",
        "adminEmail": "account@localhost",
        "earliestDatestamp": "2026-11-01T09:30:15Z",
        "deletedRecord": "persistent",
        "granularity": "YYYY-MM-DDThh:mm:ssZ",
        "compression": "gzip",
    }
    assert answer.echoed == {"verb": "Identify"}


async def test_empty_catalogue_has_a_date_that_no_record_precedes(
    client: httpx.AsyncClient,
) -> None:
    answer = await ask(client, "Identify")
    assert answer.all("//o:earliestDatestamp/text()") == ["1970-01-01T00:00:00Z"]


async def test_response_date_is_the_time_of_the_database(client: httpx.AsyncClient) -> None:
    """The changes' times are the database's too, whatever an API host believes."""
    answer = await ask(client, "Identify")
    [written] = answer.all("/o:OAI-PMH/o:responseDate/text()")
    assert abs(datetime.fromisoformat(written) - datetime.now(UTC)) < timedelta(seconds=10)


async def test_formats_and_sets(app: FastAPI, client: httpx.AsyncClient) -> None:
    formats = await ask(client, "ListMetadataFormats")
    assert formats.all("//o:metadataPrefix/text()") == ["oai_dc", "ebucore"]
    assert formats.all("//o:metadataNamespace/text()") == [NAMES["oai_dc"], NAMES["e"]]
    assert formats.all("//o:schema/text()")[0] == "http://www.openarchives.org/OAI/2.0/oai_dc.xsd"
    story = identifier(await publish_story(app, "story"))
    of_one = await ask(client, "ListMetadataFormats", identifier=story)
    assert of_one.all("//o:metadataPrefix/text()") == ["oai_dc", "ebucore"]
    sets = await ask(client, "ListSets")
    assert sets.all("//o:setSpec/text()") == ["video", "image", "audio", "story"]


@pytest.mark.parametrize("verb", ["ListRecords", "ListIdentifiers"])
async def test_list_is_in_the_order_of_commits_with_tombstones(
    app: FastAPI, client: httpx.AsyncClient, verb: str
) -> None:
    first = await publish_story(app, "first")
    second = (await publish_video(app)).id
    await add_draft(app)
    await withdraw(app, first, "Wrong place")
    answer = await ask(client, verb, metadataPrefix="oai_dc")
    assert answer.identifiers == [identifier(second), identifier(first)]
    assert answer.all("//o:setSpec/text()") == ["video", "story"]
    deleted = "//o:header[@status='deleted']/o:identifier/text()"
    assert answer.all(deleted) == [identifier(first)]
    assert answer.all("//o:resumptionToken") == []
    metadata = answer.all("//o:metadata/oai_dc:dc/dc:identifier/text()")
    assert metadata == (
        [f"{BASE_URL[:-4]}/assets/harbour-exercise", f"urn:uuid:{second}"]
        if verb == "ListRecords"
        else []
    )


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("oai_dc", "oai_dc:dc/dc:title/text()"),
        ("ebucore", "e:ebuCoreMain/e:coreMetadata/e:title/dc:title/text()"),
    ],
)
async def test_record_is_to_be_had_in_each_format(
    app: FastAPI, client: httpx.AsyncClient, prefix: str, path: str
) -> None:
    title = "\u201cShips\u201d <in> the harbour & \u0645\u0646\u0627\u0648\u0631\u0629"
    video = await publish_video(app, title=title)
    wanted = identifier(video.id)
    answer = await ask(client, "GetRecord", identifier=wanted, metadataPrefix=prefix)
    assert answer.all(f"//o:record/o:metadata/{path}") == [title]
    location = "//o:metadata/*/@*[local-name()='schemaLocation']"
    namespace = NAMES["oai_dc"] if prefix == "oai_dc" else NAMES["e"]
    [schema] = answer.all(location)
    assert schema.startswith(f"{namespace} http")
    assert answer.echoed == {
        "verb": "GetRecord",
        "identifier": wanted,
        "metadataPrefix": prefix,
    }


async def test_withdrawn_record_is_deleted_and_says_nothing_more(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    video = await publish_video(app, title="Secret title")
    await withdraw(app, video.id, "Wrong place")
    wanted = identifier(video.id)
    answer = await ask(client, "GetRecord", identifier=wanted, metadataPrefix="oai_dc")
    assert answer.all("//o:header/@status") == ["deleted"]
    assert answer.all("//o:metadata") == []
    assert b"Secret" not in etree.tostring(answer.root)


async def test_form_is_answered_like_a_query(app: FastAPI, client: httpx.AsyncClient) -> None:
    await publish_story(app, "first")
    arguments = {"verb": "ListIdentifiers", "metadataPrefix": "oai_dc"}
    answer = Answer(await client.post("/oai", data=arguments))
    assert len(answer.identifiers) == 1
    assert answer.echoed == arguments
    response = await client.post("/oai", json=arguments)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


# Selective harvesting


async def test_dates_select_whole_seconds_and_days_with_both_ends(
    app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    moments = {
        "a": datetime(2026, 11, 23, 9, 0, 0, 0, UTC),
        "b": datetime(2026, 11, 23, 9, 0, 0, 999_999, UTC),
        "c": datetime(2026, 11, 23, 9, 0, 1, 0, UTC),
        "d": datetime(2026, 11, 23, 23, 59, 59, 999_999, UTC),
        "e": datetime(2026, 11, 24, 0, 0, 0, 0, UTC),
    }
    slugs = {}
    for slug, moment in moments.items():
        asset_id = await publish_story(app, slug)
        slugs[identifier(asset_id)] = slug
        await committed_at(database, asset_id, moment)

    async def found(**dates: str) -> str:
        answer = await list_records(client, **dates)
        return "".join(slugs[each] for each in answer.identifiers)

    assert await found(since="2026-11-23T09:00:01Z") == "cde"
    assert await found(until="2026-11-23T09:00:00Z") == "ab"
    assert await found(since="2026-11-23T09:00:00Z", until="2026-11-23T09:00:00Z") == "ab"
    assert await found(since="2026-11-23", until="2026-11-23") == "abcd"
    assert await found(since="2026-11-24") == "e"
    assert await found(until="9999-12-31") == "abcde"
    assert await found(until="9999-12-31T23:59:59Z") == "abcde"
    answer = await list_records(client, since="2026-11-23T09:00:00Z", until="2026-11-23T09:00:00Z")
    assert answer.all("//o:datestamp/text()") == ["2026-11-23T09:00:00Z"] * 2


async def test_set_is_a_type_of_assets(app: FastAPI, client: httpx.AsyncClient) -> None:
    story = await publish_story(app, "story")
    video = (await publish_video(app)).id
    withdrawn = await publish_story(app, "withdrawn")
    await withdraw(app, withdrawn, "Wrong place")
    stories = await list_records(client, set="story")
    assert stories.identifiers == [identifier(story), identifier(withdrawn)]
    assert (await list_records(client, set="video")).identifiers == [identifier(video)]
    assert (await list_records(client, set="audio")).error == "noRecordsMatch"


# Pages


async def publish_many(app: FastAPI, count: int) -> list[str]:
    return [identifier(await publish_story(app, f"story-{number}")) for number in range(count)]


async def test_list_goes_on_page_by_page(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.HARVEST_PAGE_SIZE == 100
    monkeypatch.setattr(policy, "HARVEST_PAGE_SIZE", 2)
    stories = await publish_many(app, 5)
    pages = [await list_records(client, set="story", since="2020-01-01")]
    while token := pages[-1].token:
        pages.append(await ask(client, "ListRecords", resumptionToken=token))
    assert [page.identifiers for page in pages] == [stories[:2], stories[2:4], stories[4:]]
    cursors = [page.all("//o:resumptionToken/@cursor") for page in pages]
    assert cursors == [["0"], ["2"], ["4"]]
    # The last page says by an empty token that it is the last.
    assert len(pages[-1].root.findall(".//o:resumptionToken", NAMES)) == 1
    again = await ask(client, "ListRecords", resumptionToken=pages[0].token or "")
    assert again.identifiers == stories[2:4]
    assert again.echoed == {"verb": "ListRecords", "resumptionToken": pages[0].token}


async def test_page_ends_early_where_documents_are_large(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.HARVEST_PAGE_BYTES == 4_194_304
    monkeypatch.setattr(policy, "HARVEST_PAGE_BYTES", 5_000)
    stories = [
        identifier(await publish_story(app, f"story-{number}", body="x" * 4_000))
        for number in range(3)
    ]
    page = await list_records(client)
    assert page.identifiers == stories[:2]
    rest = await ask(client, "ListRecords", resumptionToken=page.token or "")
    assert (rest.identifiers, rest.token) == (stories[2:], None)
    headers = await ask(client, "ListIdentifiers", metadataPrefix="oai_dc")
    assert headers.identifiers == stories


async def test_record_that_changes_during_a_harvest_is_seen_again_at_its_end(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "HARVEST_PAGE_SIZE", 2)
    stories = await publish_many(app, 4)
    page = await list_records(client)
    await withdraw(app, UUID(stories[0].rpartition(":")[2]), "Wrong")
    await withdraw(app, UUID(stories[3].rpartition(":")[2]), "Wrong")
    seen = [*page.identifiers]
    while page.token:
        page = await ask(client, "ListRecords", resumptionToken=page.token)
        seen += page.identifiers
    assert seen == [stories[0], stories[1], stories[2], stories[0], stories[3]]


async def test_list_whose_rest_has_moved_past_its_end_matches_nothing(
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "HARVEST_PAGE_SIZE", 1)
    for story in await publish_many(app, 2):
        asset_id = UUID(story.rpartition(":")[2])
        await committed_at(database, asset_id, datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    page = await list_records(client, until="2026-11-23")
    rest = [story for story in await all_ids(database) if identifier(story) not in page.identifiers]
    await withdraw(app, rest[0], "Wrong")
    answer = await ask(client, "ListRecords", resumptionToken=page.token or "")
    assert answer.error == "noRecordsMatch"


async def all_ids(database: Database) -> list[UUID]:
    rows = await database.reader.fetch("SELECT asset_id FROM change WHERE is_latest")
    return [row["asset_id"] for row in rows]


# Errors

LONG = "x" * 200
UNKNOWN_ID = "0190b3a1-7d3c-7000-8000-3a1f0c2d4e5f"
OF_ONE = "verb=GetRecord&metadataPrefix=oai_dc&identifier"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "badVerb"),
        ("verb=", "badVerb"),
        ("verb=listRecords", "badVerb"),
        ("verb=Identify&verb=Identify", "badVerb"),
        ("metadataPrefix=oai_dc", "badVerb"),
        ("verb=Identify&extra=1", "badArgument"),
        ("verb=Identify&resumptionToken=x", "badArgument"),
        ("verb=ListSets&set=video", "badArgument"),
        ("verb=ListRecords", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&metadataPrefix=oai_dc", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&resumptionToken=x", "badArgument"),
        ("verb=ListRecords&metadataPrefix=", "badArgument"),
        ("verb=ListRecords&metadataPrefix=%3Ca%3E", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=a%20b", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=yesterday", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-13-01", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-11-23T09:00Z", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-11-23T09:00:00", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-11-23T09:00:00.5Z", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=0000-01-01", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&until=2026-11-23T24:00:01Z", "badArgument"),
        (
            "verb=ListRecords&metadataPrefix=oai_dc&from=2026-11-23&until=2026-11-24T00:00:00Z",
            "badArgument",
        ),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-11-24&until=2026-11-23", "badArgument"),
        ("verb=GetRecord&metadataPrefix=oai_dc", "badArgument"),
        ("verb=GetRecord&identifier=x", "badArgument"),
        ("verb=Identify&" + "&".join(f"a{n}=1" for n in range(200)), "badArgument"),
        ("verb=ListRecords&metadataPrefix=marc21", "cannotDisseminateFormat"),
        ("verb=ListIdentifiers&metadataPrefix=marc21", "cannotDisseminateFormat"),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=films", "noRecordsMatch"),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=type:video", "noRecordsMatch"),
        ("verb=ListRecords&metadataPrefix=oai_dc&until=1999-01-01", "noRecordsMatch"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=9999-12-31", "noRecordsMatch"),
        ("verb=ListRecords&resumptionToken=", "badResumptionToken"),
        ("verb=ListRecords&resumptionToken=garbage", "badResumptionToken"),
        ("verb=ListRecords&resumptionToken=%F0%9F%9A%A2", "badResumptionToken"),
        (f"verb=ListIdentifiers&resumptionToken={LONG}", "badResumptionToken"),
        ("verb=ListSets&resumptionToken=x", "badResumptionToken"),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=x", "idDoesNotExist"),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=a%01%EF%BF%BF%3C", "idDoesNotExist"),
        (f"{OF_ONE}=oai:127.0.0.1:{UNKNOWN_ID}", "idDoesNotExist"),
        (f"{OF_ONE}=oai:elsewhere:{UNKNOWN_ID}", "idDoesNotExist"),
        (f"verb=ListMetadataFormats&identifier=oai:127.0.0.1:{UNKNOWN_ID}", "idDoesNotExist"),
    ],
)
async def test_error_of_the_protocol(
    app: FastAPI, client: httpx.AsyncClient, query: str, code: str
) -> None:
    await publish_story(app, "story")
    answer = Answer(await client.get(f"/oai?{query}"))
    assert answer.error == code
    assert answer.all("//o:error/text()")
    is_repeated = code not in {"badVerb", "badArgument"}
    assert bool(answer.echoed) == is_repeated
    form = await client.post(
        "/oai", content=query, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert Answer(form).error == code


async def test_token_is_good_for_its_own_verb_alone(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "HARVEST_PAGE_SIZE", 1)
    await publish_many(app, 2)
    token = (await list_records(client)).token or ""
    changed = f"{token[:-3]}{'A' if token[-3] != 'A' else 'B'}{token[-2:]}"
    other = await ask(client, "ListIdentifiers", resumptionToken=token)
    assert other.error == "badResumptionToken"
    assert (await ask(client, "ListRecords", resumptionToken=changed)).error == "badResumptionToken"
    assert (await ask(client, "ListRecords", resumptionToken=token)).error is None


async def test_what_was_never_public_is_unknown(app: FastAPI, client: httpx.AsyncClient) -> None:
    draft = identifier(await add_draft(app))
    answer = await ask(client, "GetRecord", identifier=draft, metadataPrefix="oai_dc")
    assert answer.error == "idDoesNotExist"
    upper = identifier(await publish_story(app, "story")).upper()
    answer = await ask(client, "GetRecord", identifier=upper, metadataPrefix="oai_dc")
    assert answer.error == "idDoesNotExist"


# Changes that are being committed


async def numbered(database: Database, slug: str, begun: asyncio.Event, end: asyncio.Event) -> None:
    """Publish, and stop where a commit is when its changes have their time but nobody sees them."""
    async with database.transaction() as session:
        asset = await create(session, slug, "story", fields={})
        await publish(session, asset)
        await session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        begun.set()
        await end.wait()


async def test_answer_waits_for_what_was_committed_before_its_date(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_database: Database
) -> None:
    await publish_story(live_app, "earlier")
    begun, end = asyncio.Event(), asyncio.Event()
    writing = asyncio.create_task(numbered(live_database, "late", begun, end))
    await begun.wait()
    asking = asyncio.create_task(list_records(live_client))
    await asyncio.sleep(0.2)
    assert not asking.done()
    end.set()
    await writing
    assert len((await asking).identifiers) == 2


async def test_commit_that_does_not_end_is_a_reason_to_come_back_later(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert timedelta(seconds=2) == policy.HARVEST_COMMIT_PATIENCE == oai.RETRY_AFTER
    monkeypatch.setattr(policy, "HARVEST_COMMIT_PATIENCE", timedelta(milliseconds=50))
    await publish_story(live_app, "earlier")
    begun, end = asyncio.Event(), asyncio.Event()
    writing = asyncio.create_task(numbered(live_database, "late", begun, end))
    await begun.wait()
    query = urlencode({"verb": "ListRecords", "metadataPrefix": "oai_dc"})
    response = await live_client.get(f"/oai?{query}")
    end.set()
    await writing
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert len((await list_records(live_client)).identifiers) == 2
