"""The API's own description (OpenAPI 3.1), made from what stands beside each handler.

    @routes.get(PREFIX + "/devices")
    @operation("Devices in the order of their ids", listed("devices", DEVICE), query=PAGED)
    async def devices(request): ...

An answer's schema is made from the view (a NamedTuple of kernel.*views) that the handler answers with, by the rules of
shapes.py: bytes are hexadecimal text, an amount has its text beside it, nothing else is in the object.
`document` walks the routes of an application; one under `/api/` without a declaration is an AssertionError.
"""

import json
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from aiohttp import web

from coordinator.web.limits import NUMBER_MAX, ROWS_DEFAULT, ROWS_MAX
from coordinator.web.problems import TITLES
from coordinator.web.shapes import AMOUNTS

Schema = dict[str, Any]
Handler = TypeVar("Handler", bound=Callable[..., Any])

API = "/api/"
EXAMPLES_FILE = Path(__file__).parent / "examples.json"
JSON, PROBLEM = "application/json", "application/problem+json"
INTEGER: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
HEX: Schema = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
TOKENS: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?$", "description": "the same in tokens"}
ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
COUNTS: Schema = {"type": "object", "additionalProperties": INTEGER}
_PLAIN: dict[Any, Schema] = {int: INTEGER, str: TEXT, bool: FLAG, bytes: HEX}


class Field(NamedTuple):
    """A field of the query."""

    name: str
    schema: Schema
    meaning: str
    required: bool = False


class Operation(NamedTuple):
    """What a handler takes and gives. `answers`: by status, schemas by media type; `refuses`: by status, problem codes;
    `body`: (media type, schema) or None; `who`: empty for everybody, else the scope that it takes."""

    summary: str
    answers: Mapping[int, Mapping[str, Schema]]
    query: Sequence[Field]
    refuses: Mapping[int, Sequence[str]]
    body: tuple[str, Schema] | None
    who: str
    identifies: Schema


_DECLARED: dict[Any, Operation] = {}
_COMPONENTS: dict[str, Schema] = {}

# WHAT HANDLERS DECLARE WITH


def number(name: str, meaning: str, low: int = 0, high: int = NUMBER_MAX, required: bool = False) -> Field:
    return Field(name, {"type": "integer", "minimum": low, "maximum": high}, meaning, required)


LIMIT = Field(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": ROWS_MAX, "default": ROWS_DEFAULT},
    "how many rows at most",
)
CURSOR = Field(
    "cursor",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,120}$"},
    "where the next page begins: take it from `next`, with the same filters",
)
PAGED = (LIMIT, CURSOR)
EPOCH = number("epoch", "number of an epoch", required=True)
DEVICE_REFUSES = {400: ("bad_id", "bad_query"), 404: ("unknown_device",)}
DEVICE_EPOCH_REFUSES = {400: ("bad_id", "bad_query"), 404: ("unknown_device", "unknown_epoch")}
OWNER_REFUSES = {400: ("bad_id", "bad_query"), 404: ("unknown_account",)}
EPOCH_REFUSES = {400: ("bad_id", "bad_query"), 404: ("unknown_epoch",)}
QUERY_REFUSES = {400: ("bad_query",)}
# What any route may say, before its handler is asked.
ALWAYS: dict[int, tuple[str, ...]] = {
    400: ("bad_query",),
    401: ("bad_token",),
    404: ("not_found",),
    413: ("oversized",),
    421: ("wrong_host",),
    429: ("rate_limited", "too_many_attempts"),
    500: ("fault",),
    503: ("overloaded", "timeout"),
}


def operation(
    summary: str,
    answer: Schema | None = None,
    *,
    query: Sequence[Field] = (),
    refuses: Mapping[int, Sequence[str]] | None = None,
    answers: Mapping[int, Mapping[str, Schema]] | None = None,
    body: tuple[str, Schema] | None = None,
    who: str = "",
    identifies: Schema = ID,
) -> Callable[[Handler], Handler]:
    """Declare a handler; `answer` is the JSON of status 200, `identifies` what `{id}` in its path is."""

    def declare(handler: Handler) -> Handler:
        assert answer is not None or answers, "an operation answers something"
        given = answers or {200: {JSON: answer or {}}}
        _DECLARED[handler] = Operation(summary, given, query, refuses or {}, body, who, identifies)
        return handler

    return declare


def component(name: str, schema: Schema) -> Schema:
    """A reference to a schema that has a name of its own."""
    assert _COMPONENTS.setdefault(name, schema) == schema, f"two schemas are called {name}"
    return {"$ref": f"#/components/schemas/{name}"}


def record(**fields: Schema) -> Schema:
    """An object with exactly these members."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def rows(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def listed(name: str, row: Schema, **more: Schema) -> Schema:
    """A page of rows, as shapes.Page makes it."""
    return record(**more, **{name: rows(row), "next": nullable(TEXT)})


def view(kind: type, *amounts: str, **instead: Schema) -> Schema:
    """A view as `shapes.plain` writes it, with further `amounts`; `instead` are members of another shape, or more."""
    fields: dict[str, Schema] = {}
    for name, hint in get_type_hints(kind).items():
        fields[name] = instead.get(name) or _of(hint)
        if name in AMOUNTS or name in amounts:
            fields[f"{name}_tokens"] = TOKENS
    return record(**fields | instead)


def _of(hint: Any) -> Schema:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (one,) = [each for each in inner if each is not type(None)]
        return nullable(_of(one))
    if origin is tuple:
        return {"type": "array", "prefixItems": [_of(each) for each in inner], "items": False}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(inner[1])}
    if origin is None:
        return view(hint)
    return rows(_of(inner[0]))


# THE DOCUMENT

PROBLEM_SCHEMA: Schema = {
    "type": "object",
    "description": "A problem document (RFC 9457). `code` is stable; statements add what stands on their receipt.",
    "properties": {
        "type": {"type": "string", "pattern": "^urn:edgetally:problem:"},
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": TEXT,
        "code": TEXT,
        "instance": TEXT,
        "field": {"type": "string", "description": "the field of the query or body that is wrong"},
    },
    "required": ["type", "title", "status", "detail", "code", "instance"],
}


def declared(handler: Any) -> Operation | None:
    return _DECLARED.get(handler)


def api_routes(app: web.Application) -> list[tuple[str, str, Any]]:
    """(method, path, handler) of every route of the API, in the order of paths."""
    found = [
        (route.method, resource.canonical, route.handler)
        for resource in app.router.resources()
        if resource.canonical.startswith(API)
        for route in resource
        if route.method != "HEAD"
    ]
    return sorted(found, key=lambda one: (one[1], one[0]))


def document(app: web.Application) -> Schema:
    """The description of what this application serves: routes that are switched off are not in it."""
    paths: dict[str, Schema] = {}
    for method, path, handler in api_routes(app):
        said = declared(handler)
        assert said is not None, f"{method} {path} is not declared"
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, said)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Edgetally", "version": version("edgetally"), "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**_COMPONENTS, "Problem": PROBLEM_SCHEMA},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "an API token"}},
        },
    }


DESCRIPTION = (
    "What a network's devices did and earned. Ids are lower-case hexadecimal, amounts are integers of base units (nine "
    "decimals) with their text beside them. Lists: follow `next` until it is null."
)


def _operation(method: str, path: str, said: Operation) -> Schema:
    refuses: dict[int, tuple[str, ...]] = {}
    for status, codes in [*ALWAYS.items(), *said.refuses.items()]:
        refuses[status] = tuple(dict.fromkeys((*refuses.get(status, ()), *codes)))
    name = operation_id(method, path)
    answers = {str(status): _answer(said.summary, given, name) for status, given in said.answers.items()}
    made: Schema = {
        "operationId": name,
        "summary": said.summary,
        "parameters": [*_path_fields(path, said), *map(_query_field, said.query)],
        "responses": answers | {str(status): _problem(codes) for status, codes in sorted(refuses.items())},
    }
    if method == "GET":
        made["responses"]["304"] = {"description": "What `If-None-Match` names is still the answer"}
    if said.body is not None:
        media, schema = said.body
        made["requestBody"] = {"required": True, "content": {media: {"schema": schema}}}
    if said.who:
        made |= {"security": [{"token": []}], "description": f"Takes an API token with the scope `{said.who}`."}
    return made


@cache
def operation_id(method: str, path: str) -> str:
    """`get_devices_id_payouts`: the method, and the words of the path."""
    words = path.removeprefix(f"{API}v1/").replace("{", "").replace("}", "").replace(".", "_").split("/")
    return "_".join([method.lower(), *words])


def _path_fields(path: str, said: Operation) -> list[Schema]:
    kinds = {"id": said.identifies, "n": number("", "").schema, "format": {"enum": ["csv", "json", "senml"]}}
    names = [name for name in kinds if "{" + name + "}" in path]
    return [{"name": name, "in": "path", "required": True, "schema": kinds[name]} for name in names]


def _query_field(field: Field) -> Schema:
    return {
        "name": field.name,
        "in": "query",
        "required": field.required,
        "description": field.meaning,
        "schema": field.schema,
    }


def _answer(summary: str, given: Mapping[str, Schema], name: str) -> Schema:
    made: Schema = {"description": summary}
    if given:
        made["content"] = {media: {"schema": schema} for media, schema in given.items()}
    if JSON in given and name in _examples():
        made["content"][JSON]["example"] = _examples()[name]
    return made


@cache
def _examples() -> Schema:
    """By operation, what a real network answered: tests/web/api_examples.py wrote it down."""
    found: Schema = json.loads(EXAMPLES_FILE.read_text())
    return found


def _problem(codes: Sequence[str]) -> Schema:
    told = "; ".join(f"`{code}`: {TITLES.get(code, 'Statement is refused')}" for code in codes)
    return {"description": told, "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
