"""Examples of bodies and answers, put together from one example for each word of the API.

The same word means the same thing everywhere, so a new call has its example as soon as it has its
schema. Where words are not enough, the schema's own `examples` come first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

JSON = "application/json"
_MOMENT = "2026-11-23T12:00:00Z"
_BY_FORMAT: Mapping[str, Any] = {
    "uuid": "019ab0e4-3c00-7a10-8000-5f2d1c9b7e63",
    "date-time": _MOMENT,
    "date": _MOMENT[:10],
}
_BY_TYPE: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True}
_TYPE_NAMES: Mapping[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}
_PREFIX = "#/components/schemas/"


@dataclass(frozen=True)
class Examples:
    """`words` has an example for a field's name, or for `Schema.field` where that one differs."""

    schemas: Mapping[str, Schema]
    words: Mapping[str, Any]

    def of(self, schema: Schema, name: str = "") -> Any:
        """One value that fits the schema, which is called `name` if it is called anything."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_PREFIX)
            return self.of(self.schemas[name], name)
        for key in ("examples", "enum"):
            if schema.get(key):
                return schema[key][0]
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self.of(schema[choice][0], name)
        kind = _kinds(schema)[0]
        if kind == "array":
            return [self.of(schema["items"])]
        if kind == "object":
            return self._of_object(schema, name)
        return schema.get("const", _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE.get(kind)))

    def _of_object(self, schema: Schema, name: str) -> dict[str, Any]:
        members = {
            field: self._of_field(field, value, name)
            for field, value in schema.get("properties", {}).items()
        }
        maps = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
        if not members and isinstance(maps[-1], dict):
            return {"en": self.of(maps[-1])}
        return members

    def _of_field(self, field: str, schema: Schema, owner: str) -> Any:
        if f"{owner}.{field}" in self.words:
            return self.words[f"{owner}.{field}"]
        word = self.words.get(field, ...)
        return word if self._fits(word, schema) else self.of(schema)

    def _fits(self, word: Any, schema: Schema) -> bool:
        """Whether a word may stand there; a list also if its items may."""
        if "$ref" in schema:
            return False
        if "anyOf" in schema:
            return any(self._fits(word, each) for each in schema["anyOf"])
        if isinstance(word, list) and "items" in schema:
            return self._fits(word[0], schema["items"])
        is_free = not {"enum", "const"} & schema.keys()
        return is_free and _TYPE_NAMES.get(type(word)) in _kinds(schema)


def add_examples(operation: dict[str, Any], examples: Examples) -> None:
    """Give an operation's JSON body and answers an example each."""
    answers = [
        response for status, response in operation["responses"].items() if status.startswith("2")
    ]
    for described in (operation.get("requestBody", {}), *answers):
        content = described.get("content", {}).get(JSON)
        if content is not None and not {"example", "examples"} & content.keys():
            content["example"] = examples.of(content["schema"])


def _kinds(schema: Schema) -> list[str]:
    kinds = schema.get("type", "object")
    return [kinds] if isinstance(kinds, str) else kinds
