"""All that the environment decides. Policy numbers live in services/policy.py instead."""

import ipaddress
import secrets
from collections.abc import Iterable
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SECRET_KEY_MIN_LENGTH = 32
LAST_PORT = 65535

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """One clear line about a setting; the command line exits with 2."""


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _origin(value: Any) -> Any:
    """An origin is scheme, host and port; a trailing slash or path is a mistake worth naming."""
    parts = urlsplit(str(value))
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/"):
        raise ValueError(f"{value!r} is not an origin such as https://example.org")
    if not parts.netloc.isascii():  # it stands in headers too, of answers and of mails
        raise ValueError(f"{value!r} must have its host in ASCII, such as xn--mdia-bpa.example")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _sender(value: Any) -> Any:
    """As a From header has it; one that can't be read would only show when a mail should leave."""
    name, address = parseaddr(str(value))
    is_complete = all(address.rpartition("@")) and str(value).isprintable()
    try:
        is_sender = is_complete and Address(name, addr_spec=address).domain != ""
    except (ValueError, IndexError, MessageError):
        is_sender = False
    if not is_sender:
        example = 'desk@example.org or "The desk, Brest" <desk@example.org>'
        raise ValueError(f"{value!r} is no sender such as {example}")
    return value


def _network(value: Any) -> IpNetwork:
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an address or network such as 10.0.0.0/8") from None


CommaSeparated = (NoDecode, BeforeValidator(_split_commas))
_DOMAIN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$"
# host:port or smtp://host:port for SMTP, lmtp://host:port for LMTP.
_LISTEN = r"^((smtp|lmtp)://)?[^\s/]+:\d{1,5}$"
Origin = Annotated[str, BeforeValidator(_origin)]
Network = Annotated[IpNetwork, PlainValidator(_network)]
Sender = Annotated[str, BeforeValidator(_sender)]


class Settings(BaseSettings):
    """Read from the environment once, at start."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    environment: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    data_dir: Path = Path("var")
    database_url: str | None = None
    database_read_url: str | None = None
    database_direct_url: str | None = None
    smtp_url: SecretStr | None = None
    mail_from: Sender = "account@localhost"
    # Without it, editions have the sender of codes.
    newsletter_from: Sender | None = None
    # Mails a second that one worker sends of editions at most; codes are not held back.
    newsletter_rate: Annotated[float | None, Field(gt=0)] = None
    # PEM, or the path of a PEM file; several are comma-separated, and so are their selectors.
    dkim_key: Annotated[tuple[SecretStr, ...], *CommaSeparated] = ()
    dkim_selector: Annotated[tuple[str, ...], *CommaSeparated] = ()
    # Where the envelope senders of editions live, and where the worker listens for what returns.
    bounce_domain: Annotated[str | None, Field(pattern=_DOMAIN)] = None
    bounce_listen: Annotated[str | None, Field(pattern=_LISTEN)] = None
    # What a mail server shows that hands in bounces over HTTP.
    inbound_token: SecretStr | None = None
    storage_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    secret_key: SecretStr | None = None
    public_url: Origin | None = None
    app_url: Origin | None = None
    cors_origins: Annotated[tuple[Origin, ...], *CommaSeparated] = ()
    return_to_origins: Annotated[tuple[Origin, ...], *CommaSeparated] = ()
    trusted_proxies: Annotated[tuple[Network, ...], *CommaSeparated] = ()
    metrics_token: SecretStr | None = None
    max_upload_bytes: Annotated[int | None, Field(ge=1)] = None
    # Of nginx's internal location that serves the local store (X-Accel-Redirect).
    x_accel_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_-]+)+/?$")] | None = None
    rate_limits: Literal["on", "off"] = "on"

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def base_url(self) -> str:
        """Where clients reach this API, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def links_url(self) -> str:
        """Where links in mails point: the browser app, or our own plain pages."""
        return self.app_url or self.base_url

    @property
    def newsletter_sender(self) -> str:
        return self.newsletter_from or self.mail_from

    @property
    def browser_origins(self) -> frozenset[str]:
        """Origins whose pages may use the cookie transport."""
        return frozenset({self.base_url.lower(), self.links_url.lower(), *self.cors_origins})

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Names that a request may give as its Host; a stranger's would end up in caches."""
        ours = (urlsplit(url).hostname or "" for url in (self.base_url, self.links_url))
        loopback = ("localhost", "127.0.0.1", "::1", "[::1]")
        return frozenset({*ours, *loopback, self.host})

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        check = _production_problems if self.is_production else _development_problems
        if problems := [*_contradictions(self), *check(self)]:
            raise ValueError("; ".join(problems))
        return self


def _contradictions(settings: Settings) -> Iterable[str]:
    if len(settings.dkim_key) != len(settings.dkim_selector):
        yield "DKIM_KEY and DKIM_SELECTOR: name one selector for each key"
    if settings.bounce_listen is not None and settings.bounce_domain is None:
        yield "BOUNCE_LISTEN needs BOUNCE_DOMAIN, whose mails it takes"
    if int((settings.bounce_listen or ":0").rpartition(":")[2]) > LAST_PORT:
        yield f"BOUNCE_LISTEN: ports end at {LAST_PORT}"


def _production_problems(settings: Settings) -> Iterable[str]:
    required = ("database_url", "smtp_url", "storage_url", "secret_key", "public_url")
    missing = [name.upper() for name in required if getattr(settings, name) is None]
    if "mail_from" not in settings.model_fields_set:
        missing.append("MAIL_FROM")
    if missing:
        yield f"production needs {', '.join(missing)}"
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    if secret is not None and _is_weak(secret):
        yield (
            f"SECRET_KEY is weak: give at least {SECRET_KEY_MIN_LENGTH} random characters "
            "(python3 -c 'import secrets; print(secrets.token_urlsafe(48))')"
        )
    if settings.rate_limits == "off":
        yield "RATE_LIMITS=off is refused in production"


def _is_weak(secret: str) -> bool:
    return len(secret) < SECRET_KEY_MIN_LENGTH or len(set(secret)) < SECRET_KEY_MIN_LENGTH // 3


def _development_problems(settings: Settings) -> Iterable[str]:
    """Development shows caught mails and trusts embedded defaults, so it stays on this host."""
    if not is_loopback(settings.host):
        yield f"HOST={settings.host}: development serves a loopback address only"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(**overrides: Any) -> Settings:
    """Read the environment, or raise `SettingsError` with one line that names the setting."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(_describe(item) for item in error.errors())) from None
    if settings.secret_key is None:
        key = _kept_secret_key(settings.data_dir)
        settings = settings.model_copy(update={"secret_key": SecretStr(key)})
    return settings


def _describe(error: Any) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else ""
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


def _kept_secret_key(data_dir: Path) -> str:
    """The development secret: made once, readable by its owner alone, kept in DATA_DIR."""
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            draft = data_dir / f".secret_key.{secrets.token_hex(8)}"
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(48))
            # A hard link fails where the file exists, so of two starting programs one wins.
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text()
    except OSError as error:
        raise SettingsError(f"DATA_DIR={data_dir}: {error.strerror}") from None
