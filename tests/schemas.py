"""As much of JSON Schema and OpenAPI as the gateway's reference uses, to hold real answers against it."""

import math
import re
from typing import Any

Json = dict[str, Any]

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}
_KNOWN = {
    *("type", "title", "description", "default", "examples", "format", "properties", "required"),
    *("items", "additionalProperties", "enum", "const", "oneOf", "anyOf", "allOf", "$ref"),
    *("minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "discriminator"),
}


class Reference:
    """A served OpenAPI document."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._paths = [
            (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), operations)
            for path, operations in document["paths"].items()
        ]

    def operation(self, method: str, path: str) -> Json | None:
        """What the document says of a request; None when it says nothing."""
        for pattern, operations in self._paths:
            if pattern.fullmatch(path):
                found: Json | None = operations.get(method.lower())
                return found
        return None

    def faults(self, operation: Json, status: int, media: str | None, body: Any) -> list[str]:
        """What of an answer is not as documented; `media` is None for one without a body."""
        answer = operation["responses"].get(str(status))
        if answer is None:
            return [f"status {status} is not documented"]
        content = answer.get("content", {})
        if media is None:
            return ["there is no body"] if content else []
        if media not in content:
            return [f"{media} is not documented for status {status}"]
        return self.faults_of(body, content[media]["schema"], "body")

    def faults_of(self, value: Any, schema: Json, path: str) -> list[str]:
        """Where a value does not fit a schema, and why."""
        assert schema.keys() <= _KNOWN, f"unknown words: {schema.keys() - _KNOWN}"
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            return self.faults_of(value, self.document["components"]["schemas"][name], path)
        faults = _faults_of_scalar(value, schema, path)
        for part in schema.get("allOf", []):
            faults += self.faults_of(value, part, path)
        for word, wanted in (("oneOf", {1}), ("anyOf", set(range(1, 100)))):
            if word in schema:
                tried = [self.faults_of(value, part, path) for part in schema[word]]
                if tried.count([]) not in wanted:
                    faults.append(f"{path}: {tried.count([])} of {word} fit: {tried}")
        match value:
            case dict():
                faults += self._faults_of_object(value, schema, path)
            case list() if "items" in schema:
                for place, item in enumerate(value):
                    faults += self.faults_of(item, schema["items"], f"{path}[{place}]")
        return faults

    def _faults_of_object(self, value: Json, schema: Json, path: str) -> list[str]:
        properties = schema.get("properties", {})
        missing = [name for name in schema.get("required", []) if name not in value]
        faults = [f"{path}.{name}: missing" for name in missing]
        # A schema with properties is one of ours: an answer with more than it says is not documented.
        others = schema.get("additionalProperties", not properties)
        for name, member in value.items():
            place = f"{path}.{name}"
            if name in properties:
                faults += self.faults_of(member, properties[name], place)
            elif others is False:
                faults.append(f"{place}: not documented")
            elif isinstance(others, dict):
                faults += self.faults_of(member, others, place)
        return faults


def _faults_of_scalar(value: Any, schema: Json, path: str) -> list[str]:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_a(kind, value) for kind in kinds):
        return [f"{path}: {value!r} is no {' or '.join(kinds)}"]
    faults = []
    if "enum" in schema and value not in schema["enum"]:
        faults.append(f"{path}: {value!r} is none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        faults.append(f"{path}: {value!r} is not {schema['const']!r}")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        faults.append(f"{path}: {value!r} does not fit {schema['pattern']}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        size: float = value
        least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    else:
        size = len(value) if isinstance(value, str | list | dict) else 0
        word = {"list": "Items", "dict": "Properties"}.get(type(value).__name__, "Length")
        least, most = schema.get(f"min{word}", 0), schema.get(f"max{word}", math.inf)
    if not least <= size <= most:
        faults.append(f"{path}: {size} is not within {least} and {most}")
    return faults


def _is_a(kind: str, value: Any) -> bool:
    if kind in {"integer", "number"}:
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (is_whole or kind == "number")
    return isinstance(value, _TYPES[kind])
