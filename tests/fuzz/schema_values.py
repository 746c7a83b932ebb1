"""Random values that a JSON schema allows, mostly."""

import random
from typing import Any

Schema = dict[str, Any]

_OPTIONAL = 0.35
"""How likely an optional field is there."""
_DEEPEST = 8
_STAMPS = ("2025-07-01T18:00:00Z", "2025-07-01T17:59:30.5Z", "2025-07-02T02:00:00+08:00", "1970-01-01T00:00:00Z")
_WORDS = ("", "1", "0", "tx1", "A", "7.4", "Wh", "tag-1", "2025-07-01T18:00:00Z", "CP1", "Zähler", "-1")
_NUMBERS = (0, 1, -1, 2, 6, 16, 32, 230, 7400, 11000, 5_000_000, 0.1, 21.4)


def drawn(rng: random.Random, schema: Schema, root: Schema | None = None, depth: int = 0) -> Any:  # noqa: ANN401, PLR0911
    """Return a value of a schema; strings keep their length, numbers their range, words come from its enumerations."""
    root = schema if root is None else root
    if "$ref" in schema:
        return drawn(rng, _found(root, schema["$ref"]), root, depth + 1)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    kind = rng.choice(kind) if isinstance(kind, list) else kind
    match kind:
        case "object":
            return _object(rng, schema, root, depth)
        case "array":
            least = schema.get("minItems", 0)
            count = least if depth > _DEEPEST else rng.randint(least, least + 2)
            return [drawn(rng, schema.get("items", {}), root, depth + 1) for _ in range(count)]
        case "integer":
            return int(rng.choice(_NUMBERS))
        case "number":
            return rng.choice(_NUMBERS)
        case "boolean":
            return rng.random() < 0.5
        case "string" if schema.get("format") == "date-time":
            return rng.choice(_STAMPS)
        case _:
            return rng.choice(_WORDS)[: schema.get("maxLength", 20)]


def _object(rng: random.Random, schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    needed = set(schema.get("required", ()))
    return {
        name: drawn(rng, part, root, depth + 1)
        for name, part in schema.get("properties", {}).items()
        if name in needed or (depth < _DEEPEST and rng.random() < _OPTIONAL)
    }


def _found(root: Schema, reference: str) -> Schema:
    place: Schema = root
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place
