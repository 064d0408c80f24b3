"""The languages in which mails, editions and pages of ours exist."""

import re
from typing import Literal, get_args

Locale = Literal["en", "fr"]
# The first one is for whoever reads none of them.
LOCALES: tuple[Locale, ...] = get_args(Locale)


def nearest(tag: str) -> Locale:
    """Which of our languages a language tag (BCP 47) stands for: "fr-CA" for French."""
    language = re.split("[-_]", tag.lower())[0]
    return next((locale for locale in LOCALES if locale == language), LOCALES[0])
