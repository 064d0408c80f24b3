from typing import Literal

from app.schemas.base import Answer

Kind = Literal["captions", "subtitles"]


class CaptionAnswer(Answer):
    language: str
    kind: Kind
    label: str | None
    # Where everybody reads them once the asset is public.
    url: str
