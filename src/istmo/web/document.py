"""The OpenAPI document of the node, at ``/api/v1/openapi.json``."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

ERROR: Final = "Error"
_SHAPE: Final = {
    "type": "object",
    "title": ERROR,
    "description": "What happened and what to do, in the asker's language; the code is for programs.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "remedy", "params"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "remedy": {"type": "string"},
                "params": {"type": "object", "additionalProperties": {}},
            },
        }
    },
}
_TOLD: Final = {
    "description": "Any answer that is not 2xx.",
    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ERROR}"}}},
}


class Document(JsonRenderPlugin):
    """The framework's document; its errors are not those that this program answers, so ours stand there."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        return self.render_json(request, with_our_errors(openapi_schema))


def with_our_errors(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the one shape of error in every operation; ``document`` stays as it is."""
    components = document.get("components", {})
    schemas = {**components.get("schemas", {}), ERROR: _SHAPE}
    paths = {
        path: {method: _operation(one) if "responses" in one else one for method, one in item.items()}
        for path, item in document["paths"].items()
    }
    return {**document, "paths": paths, "components": {**components, "schemas": schemas}}


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    good = {status: one for status, one in operation["responses"].items() if status.startswith("2")}
    return {**operation, "responses": {**good, "default": _TOLD}}
