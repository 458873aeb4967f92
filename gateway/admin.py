"""The admin API as one application: its routes, its problems, its reference at `/docs`."""

from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.config.app import AppConfig
from litestar.exceptions import (
    ClientException,
    MethodNotAllowedException,
    NotFoundException,
    SerializationException,
    ValidationException,
)
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import ScalarRenderPlugin

from gateway import __version__
from gateway.console.api import (
    AppRoutes,
    Console,
    EventRoutes,
    JourneyRoutes,
    MessageRoutes,
    ProfileRoutes,
    RemoteConfigRoutes,
)
from gateway.edge import (
    Handler,
    Receive,
    Scope,
    Send,
    problem_body,
    problem_headers,
    problem_of,
)
from gateway.errors import Problem
from gateway.openapi import SECURITY
from gateway.reference import DeviceReference, RegistrationReference


def admin_app(console: Console) -> Litestar:
    """The admin API, to be asked through `marked`."""
    return Litestar(
        route_handlers=[
            AppRoutes,
            RemoteConfigRoutes,
            JourneyRoutes,
            MessageRoutes,
            EventRoutes,
            ProfileRoutes,
            RegistrationReference,
            DeviceReference,
        ],
        dependencies=console.dependencies(),
        exception_handlers={Exception: _answer_exception},
        openapi_config=OpenAPIConfig(
            title="Zuruf",
            version=__version__,
            path="/docs",
            components=SECURITY,
            render_plugins=[ScalarRenderPlugin()],
        ),
        request_max_body_size=console.edge.settings.inflated_bytes_max,
        on_app_init=[_without_logging],
        debug=False,
    )


def admitting(litestar: Any, console: Console) -> Handler:
    """The admin API with the headers that every answer carries; only who has a key is listened to."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *console.edge.own_headers()]
            await send(message)

        if scope["method"] in {"POST", "PUT"} and scope["path"].startswith("/admin/"):
            # Litestar would read and decode the body of anybody before it asks who that is.
            console.app_of(scope)
        await litestar(scope, receive, send_marked)

    return handle


def _without_logging(config: AppConfig) -> AppConfig:
    config.logging_config = None
    return config


def _answer_exception(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem = _problem_of(error)
    return Response(
        msgspec.json.encode(problem_body(problem)),
        status_code=problem.status,
        media_type="application/problem+json",
        headers={name.decode(): value.decode() for name, value in problem_headers(problem)},
    )


def _problem_of(error: Exception) -> Problem:
    """Litestar's exceptions in our words; all others as on the device routes."""
    match error:
        case NotFoundException():
            return Problem("not_found", "no such route")
        case MethodNotAllowedException(headers=headers):
            allow = (headers or {}).get("allow", "")
            return Problem("method_not_allowed", f"allowed: {allow}", allow=allow)
        case ValidationException(extra=list() as faults):
            return Problem("invalid_body", "; ".join(str(fault["message"]) for fault in faults))
        case ValidationException():
            return Problem("invalid_query", error.detail)
        case ClientException(status_code=413):
            return Problem("body_too_large", error.detail)
        case SerializationException() | ClientException() | RecursionError() | UnicodeDecodeError():
            return Problem("malformed_body", str(error))
    return problem_of(error)
