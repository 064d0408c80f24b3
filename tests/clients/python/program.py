"""Typical calls by the generated client: find a video, ask for its file, and meet refusals.

Then those of a broadcaster: a key, the exports, the changes, a webhook and the key's usage.

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
from account_client.api.broadcasters import (
    create_api_key,
    create_webhook,
    delete_webhook,
    list_changes,
    list_exports,
    list_usage,
    list_webhooks,
)
from account_client.api.downloads import create_download
from account_client.models import (
    AccountAnswer,
    ApiKeyBody,
    AssetAnswer,
    AssetListAnswer,
    ChangeListAnswer,
    DownloadAnswer,
    ExportList,
    Login,
    NewApiKeyAnswer,
    Problem,
    ProfilePatch,
    TokenAnswer,
    UsageList,
    WebhookBody,
    WebhookList,
    WebhookWithSecret,
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


def as_a_broadcaster(person: AuthenticatedClient, url: str) -> dict[str, object]:
    body = ApiKeyBody(name="Archive", scopes=["assets:read", "changes:read", "webhooks:manage"])
    made = create_api_key.sync(client=person, body=body)
    assert isinstance(made, NewApiKeyAnswer), made
    client = AuthenticatedClient(base_url=url, token=made.key)
    exports = list_exports.sync(client=client)
    assert isinstance(exports, ExportList), exports
    changes = list_changes.sync(client=client, after=exports.items[0].next_after)
    assert isinstance(changes, ChangeListAnswer), changes
    first = list_changes.sync(client=client, limit=2)
    assert isinstance(first, ChangeListAnswer), first
    usage = list_usage.sync(client=client)
    assert isinstance(usage, UsageList), usage
    return {
        "key_begins_with": made.key[:4],
        "exported": exports.items[0].assets,
        "formats": [file.format_ for file in exports.items[0].files],
        "changed_since": len(changes.items),
        "first_changes": [[each.sequence, each.kind] for each in first.items],
        "first_titles": [each.asset.title if each.asset else None for each in first.items],
        "webhooks": webhooks_of(person, client),
        "usage_of_others": sum(row.key_id != made.id for row in usage.items),
    }


def webhooks_of(person: AuthenticatedClient, client: AuthenticatedClient) -> list[str]:
    """The states of all, when one has been made, by the person; the key takes it away again."""
    body = WebhookBody(url="https://example.org/hooks", events=["asset.withdrawn"])
    webhook = create_webhook.sync(client=person, body=body)
    assert isinstance(webhook, WebhookWithSecret), webhook
    webhooks = list_webhooks.sync(client=client)
    assert isinstance(webhooks, WebhookList), webhooks
    assert delete_webhook.sync_detailed(webhook.id, client=client).status_code == 204
    return [each.state for each in webhooks.items]


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
        **as_a_broadcaster(client, url),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
