"""The page behind an unsubscribe link, for browsers: one button, and no JavaScript."""

from jinja2 import Environment, PackageLoader, StrictUndefined

_environment = Environment(
    loader=PackageLoader("app", "templates/pages"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
)


def unsubscribe_page(language: str, *, email: str | None, status: str) -> str:
    """Asks whether to leave while a subscription runs, and else says that there is none."""
    template = _environment.get_template(f"unsubscribe.{language}.html")
    return template.render(language=language, email=email, is_subscribed=status == "subscribed")
