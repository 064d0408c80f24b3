"""Schemas as generated clients like them: named once, without noise, and null where null may be."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

_OF_ONE = ("items", "additionalProperties", "propertyNames", "contains", "not")
_OF_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_BY_NAME = ("properties", "patternProperties")
_NULL: Schema = {"type": "null"}
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
# What may stand beside a reference.
_BESIDE = ("description", "default")


def tidy(document: dict[str, Any], word_lists: Mapping[str, Sequence[str]]) -> None:
    """Rewrite every schema of a document in place; `word_lists` names the enums that recur."""
    names = {tuple(words): name for name, words in word_lists.items()}

    def improve(schema: Schema) -> Schema:
        schema.pop("title", None)  # it would only repeat the name
        for bound in _BOUNDS:
            if schema.get("type") == "integer" and bound in schema:
                schema[bound] = int(schema[bound])
        name = names.get(tuple(schema.get("enum", ())))
        return _named(schema, name) if name else _nullable(schema)

    def improve_shared(schema: Schema) -> Schema:
        # Of a patch it would not be true, and some generators make what has one a must.
        schema.pop("default", None)
        return improve(schema)

    schemas = document["components"]["schemas"]
    for name in schemas:
        schemas[name] = rewrite(schemas[name], improve_shared)
    for name, words in word_lists.items():
        schemas[name] = {"type": "string", "enum": [*words]}
    for operation in operations(document):
        for sent in _sent(operation):
            sent["schema"] = rewrite(_without_null(sent["schema"]), improve)
        for content in _answered(operation):
            content["schema"] = rewrite(content["schema"], improve)


def operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def rewrite(schema: Schema, improve: Callable[[Schema], Schema]) -> Schema:
    """A copy of a schema, in which `improve` has had all its parts, from the inside outwards."""
    copy = dict(schema)
    for key in _OF_ONE:
        if isinstance(copy.get(key), dict):
            copy[key] = rewrite(copy[key], improve)
    for key in _OF_MANY:
        if key in copy:
            copy[key] = [rewrite(each, improve) for each in copy[key]]
    for key in _BY_NAME:
        if key in copy:
            copy[key] = {name: rewrite(each, improve) for name, each in copy[key].items()}
    return improve(copy)


def _sent(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What of a request has a schema."""
    for parameter in operation.get("parameters", ()):
        parameter["schema"].pop("description", None)  # it is the parameter's own
        yield parameter
    yield from operation.get("requestBody", {"content": {}})["content"].values()


def _answered(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for response in operation["responses"].values():
        yield from response.get("content", {}).values()


def _named(schema: Schema, name: str) -> Schema:
    beside = {key: schema[key] for key in _BESIDE if key in schema}
    return {"$ref": f"#/components/schemas/{name}", **beside}


def _nullable(schema: Schema) -> Schema:
    """`{"type": ["string", "null"]}` for what pydantic writes as a choice of two schemas."""
    match schema.get("anyOf"):
        case [{"type": str(kind)} as value, {"type": "null"}] if "enum" not in value:
            around = {key: each for key, each in schema.items() if key != "anyOf"}
            return {**value, "type": [kind, "null"], **around}
    return schema


def _without_null(schema: Schema) -> Schema:
    """For parameters and whole bodies, which are left out and never null."""
    choices = [each for each in schema.get("anyOf", ()) if each != _NULL]
    if len(choices) == len(schema.get("anyOf", ())):
        return schema
    around = {key: each for key, each in schema.items() if key != "anyOf"}
    return {**choices[0], **around} if len(choices) == 1 else {**around, "anyOf": choices}
