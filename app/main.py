"""The application: its layers, its routers, and what it holds while it runs."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from fastapi import FastAPI
from starlette.middleware import Middleware

from app import errors
from app.clock import utc_now
from app.http import path_rules
from app.http.counters import open_counters
from app.http.head import HeadMiddleware
from app.http.key_gate import KeyGate
from app.http.openapi import install_openapi, operation_id
from app.http.page_store import PageStore
from app.http.route_index import install_route_index
from app.http.stack import StackOptions, middleware_stack
from app.lifespan import lifespan
from app.routers import (
    account,
    accounts,
    api_keys,
    asset_editing,
    asset_formats,
    asset_lists,
    assets,
    audit_events,
    auth,
    captions,
    changes,
    collections,
    download_history,
    downloads,
    edition_preview_pages,
    edition_previews,
    edition_sending,
    editions,
    exports,
    feeds,
    health,
    inbound_mail,
    keywords,
    mail_rates,
    manifests,
    newsletter,
    newsletter_archive,
    newsletter_links,
    newsletter_topics,
    oai,
    oauth,
    oembed,
    pages,
    reauthentication,
    renditions,
    saved_search_links,
    saved_searches,
    sessions,
    sitemaps,
    subscribers,
    uploads,
    usage,
    verification_codes,
    webhook_deliveries,
    webhooks,
    well_known,
)
from app.schemas.vocabulary import VOCABULARY
from app.services import policy
from app.services.access_checks import AccessChecks
from app.services.change_hub import ChangeHub
from app.services.uploads import RunningUploads
from app.settings import Settings

DESCRIPTION = """\
Accounts, the media catalogue and the newsletter of a broadcast-media portal.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. Lists are paged by `limit`
and `cursor`. Times are RFC 3339 in UTC, ids UUIDv7, durations seconds, sizes bytes.
"""

# In the order in which they are asked for a path.
ROUTERS = (
    auth.router,
    sessions.router,
    reauthentication.router,
    verification_codes.router,
    account.router,
    asset_editing.router,
    asset_lists.router,
    asset_formats.router,  # before `assets`, whose references take in every suffix
    assets.router,
    feeds.router,
    sitemaps.router,
    oembed.router,
    captions.router,
    collections.router,
    keywords.router,
    uploads.router,
    renditions.router,
    downloads.router,
    download_history.router,
    manifests.router,
    exports.router,
    oai.router,
    saved_search_links.router,
    saved_searches.router,
    accounts.router,
    newsletter.router,
    newsletter_links.router,
    newsletter_topics.router,
    subscribers.router,
    editions.router,
    edition_sending.router,
    edition_previews.router,
    edition_preview_pages.router,
    newsletter_archive.router,
    mail_rates.router,
    inbound_mail.router,
    api_keys.router,
    oauth.router,
    usage.router,
    audit_events.router,
    changes.router,
    webhooks.router,
    webhook_deliveries.router,
    well_known.router,
    health.router,
    pages.router,
)


def create_app(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """Build the API for one process; connections are opened when it starts."""
    options = _stack_options(settings, clock)
    app = FastAPI(
        title="Multimedia Account",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # We have metrics of our own, and looking for OpenTelemetry's costs every request its share.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,  # its Location would be made from the client's Host header
        generate_unique_id_function=operation_id,
        middleware=[
            *middleware_stack(options),
            Middleware(HeadMiddleware, answers_head=path_rules.is_whole_file),
        ],
        lifespan=lifespan,
    )
    _prepare_state(app, settings, options)
    errors.install_handlers(app)
    if not settings.is_production:
        _add_development_pages(app)
    for router in ROUTERS:
        app.include_router(router)
    install_openapi(app, server_url=settings.base_url, vocabulary=VOCABULARY)
    install_route_index(app)
    return app


def _prepare_state(app: FastAPI, settings: Settings, options: StackOptions) -> None:
    """What needs no connection; app/lifespan.py opens the rest."""
    app.state.settings = settings
    app.state.clock = options.clock
    app.state.counters = options.counters
    app.state.pages = options.pages
    app.state.keys = options.keys
    app.state.running_uploads = RunningUploads()
    app.state.changes = ChangeHub()
    app.state.access_checks = AccessChecks()


def _add_development_pages(app: FastAPI) -> None:
    """Before the plain pages, in whose place the browser app stands; not loaded in production."""
    from app.routers import browser_app, dev_mail

    app.include_router(dev_mail.router)
    if browser_app.FOLDER.is_dir():
        app.include_router(browser_app.router)
        app.mount("/ui", browser_app.files)
        browser_app.show_wrong_addresses(app)


def _stack_options(settings: Settings, clock: Callable[[], datetime]) -> StackOptions:
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    counters = open_counters(redis_url) if settings.rate_limits == "on" else None
    largest_upload = policy.largest_upload(settings.max_upload_bytes)
    return StackOptions(
        trusted_proxies=settings.trusted_proxies,
        allowed_hosts=settings.allowed_hosts,
        cors_origins=settings.browser_origins,
        is_public=path_rules.is_shown_by_players,
        body_limit_for=partial(path_rules.body_limit, largest_upload),
        has_no_deadline=path_rules.may_take_long,
        counters=counters,
        clock=clock,
        keys=KeyGate(counters, clock=clock),
        pages=PageStore(),
    )
