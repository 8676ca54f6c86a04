"""The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made from the declaration and its models."""

import re
from functools import cache
from http import HTTPStatus
from typing import Any

from functions._domain.assets import Kind
from functions._runtime.dotted import load
from functions.declaration import FUNCTIONS, Function, Route

QUERY: dict[str, dict[str, Any]] = {"kind": {"enum": [kind.value for kind in Kind]}}
"""What is known of some parameters."""
BEARER = (
    "An API token, or a JWT of the tenant's OpenID Connect issuer. What an operation needs is the least role that may "
    "call it: a publisher may do what a reader may, an operator all."
)
ONCE_ONLY = "a key that was used before is refused, since what it made cannot be shown again"
REF = "#/components/schemas/{model}"


@cache
def document() -> dict[str, Any]:
    """The document that ``GET /v1/openapi.json`` answers."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for function in FUNCTIONS:
        for route in function.routes:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(function, route, schemas)
    paths["/v1/openapi.json"] = {"get": _own_operation()}
    schemas["Problem"] = {
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what was expected, what was found, what to do"},
            "trace_id": {"type": "string", "description": "on 5xx: quote it when you report the error"},
        },
        "required": ["title", "status", "detail"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Polyglot Model Sharing", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": BEARER}},
        },
    }


def _operation(function: Function, route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.rpartition(":")[2],
        "summary": route.summary,
        "tags": [function.name],
        "parameters": _parameters(route),
        "responses": _responses(route, schemas),
    }
    if route.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(route.body, schemas)}},
        }
    said = [route.detail]
    if route.access != "anyone":
        operation["security"] = [{"token": [route.access]}]
        said.insert(0, f"Needs the role {route.access}.")
    operation["description"] = " ".join(filter(None, said))
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True,
         "schema": {"type": "string", **({"format": "uuid"} if name == "id" else {})}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]  # fmt: skip
    found += [
        {"name": name, "in": "query", "required": False, "description": text,
         "schema": {"type": "string", **QUERY.get(name, {})}}
        for name, text in route.query
    ]  # fmt: skip
    if route.method == "POST":
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": ONCE_ONLY if route.status == 201 else "the same key asks for the same thing once",
                "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,200}$"},
            }
        )
    return found


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": route.summary}
    if route.status == 307:
        good["headers"] = {"Location": {"schema": {"type": "string"}, "description": "a presigned URL"}}
    else:
        good["content"] = {"application/json": {"schema": _ref(route.answer, schemas)}}
    if route.status == 202:
        good["headers"] = {"Location": {"schema": {"type": "string"}, "description": "where to ask what became of it"}}
    possible = [400, 401, 403, 404, 422, 500, 503] + ([413] if route.body else [])
    problems = {
        str(status): {
            "description": f"The body has more than {route.limit} bytes"
            if status == 413
            else HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}},
        }
        for status in sorted(possible)
    }
    return {str(route.status): good, **problems}


def _ref(dotted: str, schemas: dict[str, Any]) -> dict[str, str]:
    model = load(dotted)
    schema = model.model_json_schema(ref_template=REF, mode="serialization" if ".answers:" in dotted else "validation")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"$ref": REF.format(model=model.__name__)}


def _own_operation() -> dict[str, Any]:
    return {
        "operationId": "openapi",
        "summary": "This document",
        "tags": ["retrieve"],
        "responses": {
            "200": {"description": "This document", "content": {"application/json": {"schema": {"type": "object"}}}}
        },
    }
