"""OAI-PMH 2.0: libraries and archives harvest the catalogue with it."""

from email.utils import parseaddr
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.deps import AddressesDep, DeploymentDep, Now, ReaderDep, SettingsDep
from app.errors import UnsupportedMediaType
from app.formats import oai_pmh
from app.http.openapi import Responses, refusals
from app.http.public_answer import content_of
from app.routers import oai_answers
from app.routers.oai_answers import PATH, Harvest
from app.services.oai_arguments import SETS, TOKEN

router = APIRouter(tags=["broadcasters"], default_response_class=Response)

_FORM = "application/x-www-form-urlencoded"
_ARGUMENTS = {
    "verb": "Identify, ListMetadataFormats, ListSets, ListIdentifiers, ListRecords or GetRecord",
    "metadataPrefix": "oai_dc or ebucore",
    "identifier": "Of one record: oai:HOST:ID",
    "from": "The earliest datestamp: 2026-11-23 or 2026-11-23T09:00:00Z",
    "until": "The latest one, which is included",
    "set": "A type of assets: " + ", ".join(SETS),
    TOKEN: "Continues a list, without any other argument but the verb",
}
_ANSWERS: Responses = {
    200: {
        "description": "The answer, or an error of the protocol",
        "content": {oai_pmh.MEDIA_TYPE: content_of(oai_pmh.MEDIA_TYPE)},
    }
}
_QUERY: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in _ARGUMENTS.items()
    ]
}
_MEMBERS = {name: {"type": "string", "description": text} for name, text in _ARGUMENTS.items()}
_BODY: dict[str, Any] = {
    "requestBody": {"content": {_FORM: {"schema": {"type": "object", "properties": _MEMBERS}}}}
}


async def get_harvest(
    reader: ReaderDep,
    addresses: AddressesDep,
    settings: SettingsDep,
    deployment: DeploymentDep,
    now: Now,
) -> Harvest:
    """Never from a replica: an answer's date promises that all before it was to be seen."""
    email = parseaddr(settings.mail_from)[1]
    return Harvest(reader, addresses, email, deployment.keyring.key("cursor"), now)


HarvestDep = Annotated[Harvest, Depends(get_harvest)]


@router.get(PATH, responses=_ANSWERS, openapi_extra=_QUERY)
async def harvest(request: Request, setting: HarvestDep) -> Response:
    """OAI-PMH 2.0: the public catalogue as Dublin Core or EBUCore, deleted records for ever.

    Begin the next harvest with `from` = the `responseDate` of this one's first answer.
    """
    return await oai_answers.answer(setting, request.url.query)


@router.post(PATH, responses={**_ANSWERS, **refusals(UnsupportedMediaType)}, openapi_extra=_BODY)
async def harvest_by_form(request: Request, setting: HarvestDep) -> Response:
    """The same, with the arguments in a form."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _FORM:
        raise UnsupportedMediaType(f"Send the arguments as {_FORM}")
    return await oai_answers.answer(setting, (await request.body()).decode("utf-8", "replace"))
