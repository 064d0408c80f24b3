"""The page behind the link that ends a search's mails: one button, and no JavaScript."""

from jinja2 import Environment, PackageLoader, StrictUndefined

_environment = Environment(
    loader=PackageLoader("app", "templates/pages"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
)


def stop_alert_page(language: str, *, name: str | None, is_active: bool) -> str:
    """Asks whether to end the mails while there are any; without a name the search is gone."""
    template = _environment.get_template(f"stop_alert.{language}.html")
    return template.render(language=language, name=name, is_active=is_active)
