"""Typical calls by the generated client: find a video, ask for its file, and meet refusals.

    python program.py http://127.0.0.1:8000 EMAIL PASSWORD

It prints what it has found as JSON. mypy checks it with the client, so it must narrow every answer
as a careful user would.
"""

import json
import sys

from account_client import AuthenticatedClient, Client
from account_client.api.account import get_account, update_account
from account_client.api.assets import get_asset, list_assets
from account_client.api.auth import login
from account_client.api.downloads import create_download
from account_client.models import (
    AccountAnswer,
    AssetAnswer,
    AssetListAnswer,
    DownloadAnswer,
    Login,
    Problem,
    ProfilePatch,
    TokenAnswer,
)


def logged_in(url: str, email: str, password: str) -> AuthenticatedClient:
    tokens = login.sync(client=Client(base_url=url), body=Login(email=email, password=password))
    assert isinstance(tokens, TokenAnswer), tokens
    assert tokens.account.email == email
    return AuthenticatedClient(base_url=url, token=tokens.access_token)


def newest_video(client: AuthenticatedClient) -> AssetAnswer:
    page = list_assets.sync(client=client, type_=["video"], sort="-published_at", limit=1)
    assert isinstance(page, AssetListAnswer), page
    [listed] = page.items
    asset = get_asset.sync(listed.slug, client=client)
    assert isinstance(asset, AssetAnswer), asset
    assert asset.published_at.utcoffset() is not None
    return asset


def code_of_a_refusal(client: AuthenticatedClient) -> str:
    problem = get_asset.sync("no-such-asset", client=client)
    assert isinstance(problem, Problem), problem
    return problem.code


def main(url: str, email: str, password: str) -> None:
    client = logged_in(url, email, password)
    renamed = update_account.sync(client=client, body=ProfilePatch(full_name="Jane Doe"))
    assert isinstance(renamed, AccountAnswer), renamed
    account = get_account.sync(client=client)
    assert isinstance(account, AccountAnswer), account
    asset = newest_video(client)
    rendition = asset.renditions[0]
    link = create_download.sync(asset.slug, rendition.name, client=client)
    assert isinstance(link, DownloadAnswer), link
    found = {
        "full_name": account.full_name,
        "slug": asset.slug,
        "country": asset.location.country if asset.location else None,
        "keywords": asset.keywords,
        "shots": [shot.timecode_in for shot in asset.shotlist],
        "sha256": link.sha256,
        "is_the_rendition": link.sha256 == rendition.sha256,
        "refusal": code_of_a_refusal(client),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
