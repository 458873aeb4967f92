"""What the reference at `/docs` says of a route beside its success: its problems, and how to be let in."""

from dataclasses import dataclass

from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Responses,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIType

from gateway.errors import PROBLEMS

DEVICE_TOKEN, PUBLISHABLE_KEY, SECRET_KEY = "deviceToken", "publishableKey", "secretKey"
SECURITY = Components(
    security_schemes={
        name: SecurityScheme(type="http", scheme="bearer", description=description)
        for name, description in (
            (DEVICE_TOKEN, "The token that a device got when it registered"),
            (PUBLISHABLE_KEY, "A publishable key of the app"),
            (SECRET_KEY, "A secret key of the app, for its own servers"),
        )
    }
)

NEEDS_DEVICE_TOKEN = (
    "token_missing",
    "token_malformed",
    "token_forged",
    "token_expired",
    "device_rate_limited",
    "app_rate_limited",
)
NEEDS_SECRET_KEY = ("key_invalid", "app_rate_limited")
NEEDS_STORE = ("store_unavailable",)
READS_BODY = (
    "malformed_body",
    "invalid_body",
    "malformed_compression",
    "body_timeout",
    "body_too_large",
    "inflated_body_too_large",
    "unsupported_media_type",
    "unsupported_encoding",
)
READS_ADMIN_BODY = ("malformed_body", "invalid_body", "body_timeout", "body_too_large")
READS_BATCH = ("empty_batch", "nothing_acceptable", "too_many_events")
_ALWAYS = ("overloaded", "internal")


def answers(*problems: str, empty: dict[int, str] | None = None) -> type[Operation]:
    """The operation of a route that may answer with these problems, and without a body for these reasons."""
    by_status: dict[int, list[str]] = {}
    for code in (*problems, *_ALWAYS):
        by_status.setdefault(PROBLEMS[code][0], []).append(code)
    told: Responses = {
        str(status): OpenAPIResponse(
            description=", ".join(codes),
            content={"application/problem+json": OpenAPIMediaType(schema=_problem(status, codes))},
        )
        for status, codes in sorted(by_status.items())
    }
    bare: Responses = {
        str(status): OpenAPIResponse(description=reason) for status, reason in (empty or {}).items()
    }

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            good: Responses = {
                status: response
                for status, response in (self.responses or {}).items()
                if status < "4"
            }
            self.responses = good | bare | told

    return Documented


def _problem(status: int, codes: list[str]) -> Schema:
    text = Schema(type=OpenAPIType.STRING)
    properties = {
        "type": text,
        "title": text,
        "status": Schema(type=OpenAPIType.INTEGER, enum=[status]),
        "code": Schema(type=OpenAPIType.STRING, enum=list(codes)),
        "detail": text,
    }
    return Schema(
        type=OpenAPIType.OBJECT,
        title="Problem",
        properties=dict(properties),
        required=list(properties),
    )
