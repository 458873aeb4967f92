"""One wire case under way: the steps of a script, between the clients and the mock gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.conformance.adapter import Adapter, AdapterError
from tests.conformance.behaviour import Reply, problem
from tests.conformance.contract import PUBLISHABLE_KEY
from tests.conformance.gateway import MockGateway, Plan
from tests.conformance.matching import (
    REST,
    Bindings,
    MismatchError,
    ScriptError,
    is_placeholder,
    matched,
    resolved,
)
from tests.conformance.scripts import Step, milliseconds
from tests.conformance.seen import Seen

SETTLES_WITHIN_S = 8.0
LOOK_AGAIN_S = 0.001
# More moves of the clock than any script needs: a timer that is always due.
MOVES_MAX = 20_000
START_CHANCE = 0.5

Arguments = dict[str, Any]


class CaseFailedError(Exception):
    """A case went wrong; says why, where, and what had happened until then."""


class Processes(Protocol):
    """Who keeps the adapters."""

    def adapter(self, client: str) -> Adapter: ...
    def kill(self, client: str) -> None: ...


class Conversation:
    """The state of one case: the gateway, the clients, the time, and what was looked at."""

    def __init__(
        self,
        gateway: MockGateway,
        storage: Path,
        config: Mapping[str, Any],
        processes: Processes,
    ) -> None:
        self._gateway = gateway
        self._storage = storage
        self._config = config
        self._processes = processes
        self._now_ms = gateway.behaviour.now_ms
        self._bindings = Bindings(self._now_ms)
        # Device time minus the runner's time; the gateway's may differ from both.
        self._device_ahead_ms = 0
        self._gateway_ahead_ms = 0
        # Clients that run, and the milliseconds until the next timer of each.
        self._next_ms: dict[str, int | None] = {}
        self._looked_at: set[int] = set()
        self._callbacks: dict[str, list[dict[str, Any]]] = {}

    def run(self, steps: tuple[Step, ...]) -> None:
        """Go through the steps; raises what is wrong, with the step it was found in."""
        for number, step in enumerate(steps, 1):
            try:
                self._take(step)
                if step.settles:
                    self._settle()
                if self._gateway.faults:
                    raise MismatchError("the protocol", "\n  ".join(self._gateway.faults))
            except (MismatchError, ScriptError, AdapterError) as error:
                text = str(step)
                where = f"step {number}: {text[:300]}{'…' if len(text) > 300 else ''}"
                raise CaseFailedError(f"{error}\n{where}\n{self._story()}") from error

    def _take(self, step: Step) -> None:
        act = self._ACTIONS.get(step.operation)
        if act is None:
            raise ScriptError(f"there is no {step.operation}")
        arguments = step.arguments
        if not step.operation.startswith("assert.") and step.operation != "sdk.call":
            arguments = resolved(arguments, self._bindings)
        act(self, step.on, arguments)

    # The device

    def _start(self, client: str, arguments: Arguments) -> None:
        config = {
            **self._config,
            **arguments,
            "endpoint": self._gateway.url_of(client),
            "publishable_key": PUBLISHABLE_KEY,
            "storage_dir": str(self._storage),
        }
        chance = config.pop("chance", START_CHANCE)
        wall_ms = self._now_ms + self._device_ahead_ms
        adapter = self._processes.adapter(client)
        adapter.ask("start", config=config, wall_ms=wall_ms, chance=chance)
        self._next_ms[client] = None

    def _call(self, client: str, told: Any) -> None:
        call = told if isinstance(told, dict) else {"method": told[0], "args": told[1:]}
        unknown = call.keys() - {"method", "args", "named", "gives"}
        if unknown:
            raise ScriptError(f"sdk.call has no {unknown}")
        found = self._processes.adapter(client).ask(
            "call",
            method=call["method"],
            args=resolved(call.get("args", []), self._bindings),
            named=resolved(call.get("named", {}), self._bindings),
        )
        if "gives" in call:
            self._bindings = matched(call["gives"], found, self._bindings, call["method"])

    def _show(self, client: str, arguments: Arguments) -> None:
        gives = arguments.pop("gives", None)
        found = self._processes.adapter(client).ask("show", **{"value": None, **arguments})
        if gives is not None:
            self._bindings = matched(gives, found, self._bindings, "show")

    def _will_decide(self, client: str, decisions: list[str]) -> None:
        self._processes.adapter(client).ask("will_decide", decisions=decisions)

    def _stop(self, client: str, _: Arguments) -> None:
        self._collect(client)
        self._processes.adapter(client).ask("stop")
        self._next_ms.pop(client, None)

    def _kill(self, client: str, _: Arguments) -> None:
        self._processes.kill(client)
        self._next_ms.pop(client, None)
        self._gateway.hang_up_on(client)

    def _background(self, client: str, _: Arguments) -> None:
        self._processes.adapter(client).ask("call", method="on_background", args=[], named={})

    def _foreground(self, client: str, _: Arguments) -> None:
        self._processes.adapter(client).ask("call", method="on_foreground", args=[], named={})

    # Time

    def _advance(self, _: str, duration: Arguments) -> None:
        """Let time go by from one deadline to the next, the clients' and the gateway's."""
        self._settle()
        left_ms = milliseconds(duration)
        for _move in range(MOVES_MAX):
            own = [ms for ms in self._next_ms.values() if ms is not None]
            others_ms = self._gateway.next_ms()
            nearest = [*own, *([] if others_ms is None else [others_ms])]
            step_ms = min([left_ms, *nearest])
            if left_ms == 0 and 0 not in nearest:
                return
            self._move(step_ms)
            left_ms -= step_ms
        raise MismatchError("time", f"a timer is always due: {self._next_ms}")

    def _move(self, step_ms: int) -> None:
        self._now_ms += step_ms
        self._gateway.move_to(self._now_ms + self._gateway_ahead_ms)
        for client in self._next_ms:
            self._processes.adapter(client).ask("advance", ms=step_ms)
        self._settle()
        self._gateway.fire()
        self._settle()

    def _set_clock(self, _: str, arguments: Arguments) -> None:
        """Set the clock of the device: all its processes."""
        self._device_ahead_ms += milliseconds(arguments)
        for client in self._next_ms:
            wall_ms = self._now_ms + self._device_ahead_ms
            self._processes.adapter(client).ask("set_wall", wall_ms=wall_ms)

    def _settle(self) -> None:
        """Wait until every client has followed all that has happened."""
        ends_s = time.monotonic() + SETTLES_WITHIN_S
        for client in self._next_ms:
            adapter = self._processes.adapter(client)
            while True:
                stands = adapter.ask("settle")
                if stands["in_flight"] == self._gateway.open_requests(client):
                    break
                if time.monotonic() > ends_s:
                    raise MismatchError(
                        f"{client} does not settle",
                        f"in flight there {stands['in_flight']}, "
                        f"here {self._gateway.open_requests(client)}",
                    )
                time.sleep(LOOK_AGAIN_S)
            self._next_ms[client] = stands["next_ms"]

    # The gateway and the network

    def _respond(self, _: str, arguments: Arguments) -> None:
        told = dict(arguments)
        route, times = told.pop("route"), told.pop("times", 1)
        plan = Plan(
            always=told.pop("always", False),
            cut=told.pop("cut", "no"),
            after_ms=milliseconds(told.pop("after")) if "after" in told else 0,
            reply=_reply(told) if told else None,
        )
        self._gateway.plan(route, plan, times)

    def _hold(self, _: str, arguments: Arguments) -> None:
        self._gateway.plan(arguments["route"], Plan(after_ms=None), arguments.get("times", 1))

    def _delay(self, _: str, arguments: Arguments) -> None:
        duration = {unit: value for unit, value in arguments.items() if unit != "route"}
        self._gateway.plan(arguments["route"], Plan(after_ms=milliseconds(duration)))

    def _release(self, _: str, arguments: Arguments) -> None:
        self._gateway.release(arguments["route"])

    def _cut(self, _: str, arguments: Arguments) -> None:
        self._gateway.cut(arguments["route"])

    def _behave(self, _: str, arguments: Arguments) -> None:
        self._gateway.behave(arguments.get("route"))

    def _deliver(self, _: str, arguments: Arguments) -> None:
        self._gateway.deliver(
            arguments.get("messages", []), arguments.get("withdrawn", []), arguments.get("to")
        )

    def _change_config(self, _: str, changes: Arguments) -> None:
        self._gateway.change_config(changes)

    def _settings(self, _: str, arguments: Arguments) -> None:
        for name, value in arguments.items():
            match name:
                case "streams":
                    self._gateway.streams = value
                case "heartbeat":
                    self._gateway.heartbeat_ms = None if value is None else milliseconds(value)
                case "token_ttl":
                    self._gateway.behaviour.token_ttl_ms = milliseconds(value)
                case "clock_ahead":
                    self._gateway_ahead_ms = milliseconds(value)
                    self._gateway.move_to(self._now_ms + self._gateway_ahead_ms)
                case _:
                    raise ScriptError(f"the gateway has no setting {name}")

    def _send_on_stream(self, _: str, arguments: Arguments) -> None:
        if not self._gateway.send_on_streams(_stream_bytes(arguments)):
            raise MismatchError("stream", "none is open")

    def _cut_stream(self, _: str, __: Arguments) -> None:
        self._gateway.cut("GET /v1/messages/stream")

    # What is expected

    def _assert_requests(self, _: str, arguments: Arguments) -> None:
        found = [one.as_json() for one in self._unseen(arguments.get("route"))]
        expected = [_expected_request(one) for one in arguments["expect"]]
        self._bindings = matched(expected, found, self._bindings, "requests")

    def _assert_no_requests(self, _: str, arguments: Arguments) -> None:
        found = self._unseen(arguments.get("route"))
        if found:
            raise MismatchError("requests", f"none expected, found {'; '.join(map(str, found))}")

    def _unseen(self, routes: str | list[str] | None) -> list[Seen]:
        """Give the requests nobody looked at before, and count them as looked at."""
        wanted = {routes} if isinstance(routes, str) else None if routes is None else set(routes)
        found = []
        for index, request in enumerate(self._gateway.requests):
            if index not in self._looked_at and (wanted is None or request.route in wanted):
                self._looked_at.add(index)
                found.append(request)
        return found

    def _assert_events(self, _: str, arguments: Arguments) -> None:
        behaviour = self._gateway.behaviour
        accepted = [{**one.event, "profile": one.profile_id} for one in behaviour.accepted]
        where = arguments.get("where", {})
        found = [one for one in accepted if where.items() <= {**one, "props": None}.items()]
        expected = [_expected_by("name", one) for one in arguments["expect"]]
        self._bindings = matched(expected, found, self._bindings, "events")
        if "duplicates" in arguments:
            wanted = arguments["duplicates"]
            self._bindings = matched(wanted, behaviour.duplicates, self._bindings, "duplicates")

    def _assert_callbacks(self, client: str, arguments: Arguments) -> None:
        self._collect(client)
        kinds = arguments.get("kinds", ["message"])
        told = self._callbacks[client]
        found = [one for one in told if one["kind"] in kinds]
        self._callbacks[client] = [one for one in told if one["kind"] not in kinds]
        expected = [_expected_by("message_id", one) for one in arguments["expect"]]
        self._bindings = matched(expected, found, self._bindings, "callbacks")

    def _collect(self, client: str) -> None:
        self._callbacks.setdefault(client, []).extend(
            self._processes.adapter(client).ask("callbacks")
        )

    def _assert_state(self, client: str, arguments: Arguments) -> None:
        found = self._processes.adapter(client).ask("state")
        expected = {REST: "$any", **arguments["expect"]}
        self._bindings = matched(expected, found, self._bindings, "state")

    def _story(self) -> str:
        """Tell what the gateway saw so far."""
        told = "\n".join(f"  {request}" for request in self._gateway.requests[-12:])
        open_ = {client: self._gateway.open_requests(client) for client in self._next_ms}
        return f"requests so far:\n{told}\nunanswered: {open_}, next timers: {self._next_ms}"

    _ACTIONS: Mapping[str, Callable[[Conversation, str, Any], None]] = {
        "sdk.start": _start,
        "sdk.call": _call,
        "sdk.show": _show,
        "sdk.will_decide": _will_decide,
        "sdk.stop": _stop,
        "process.kill": _kill,
        "app.background": _background,
        "app.foreground": _foreground,
        "clock.advance": _advance,
        "clock.set": _set_clock,
        "net.down": lambda self, _, __: self._gateway.set_network("down"),
        "net.up": lambda self, _, __: self._gateway.set_network("up"),
        "net.portal": lambda self, _, __: self._gateway.set_network("portal"),
        "server.respond": _respond,
        "server.hold": _hold,
        "server.delay": _delay,
        "server.release": _release,
        "server.cut": _cut,
        "server.behave": _behave,
        "server.deliver": _deliver,
        "server.config": _change_config,
        "server.settings": _settings,
        "server.stream.send": _send_on_stream,
        "server.stream.cut": _cut_stream,
        "assert.requests": _assert_requests,
        "assert.no_requests": _assert_no_requests,
        "assert.events": _assert_events,
        "assert.callbacks": _assert_callbacks,
        "assert.state": _assert_state,
    }


def _reply(told: Arguments) -> Reply:
    """Read an answer of a script: `status` and `code` or `body`, `retry_after`, `headers`, `foreign`."""
    unknown = told.keys() - {"status", "code", "body", "retry_after", "headers", "foreign"}
    if unknown:
        raise ScriptError(f"an answer has no {unknown}")
    status, headers = told["status"], told.get("headers", {})
    if "code" in told:
        body = told.get("body", {})
        answer = problem(status, told["code"], retry_after=told.get("retry_after"), **body)
        headers = {**answer.headers, **headers}
        return Reply(status, answer.body, headers, told.get("foreign", False))
    if "retry_after" in told:
        headers = {**headers, "Retry-After": str(told["retry_after"])}
    body = told.get("body")
    if isinstance(body, str):
        body = body.encode()
    return Reply(status, body, headers, told.get("foreign", False))


def _stream_bytes(told: Arguments) -> bytes:
    if "raw" in told:
        return str(told["raw"]).encode()
    lines = [
        f"{name}: {json.dumps(value) if name == 'data' else value}\n"
        for name, value in told.items()
    ]
    return ("".join(lines) + "\n").encode()


def _expected_request(told: Any) -> Any:
    """Read an expected request: a route, or the members that matter."""
    expected = _expected_by("route", told)
    if isinstance(expected, dict):
        expected = {REST: "$any", **expected}
        if "headers" in expected:
            expected["headers"] = {REST: "$any", **expected["headers"]}
    return expected


def _expected_by(member: str, told: Any) -> Any:
    """Read an expectation: a text stands for an object with that member."""
    if isinstance(told, str) and told != REST and not is_placeholder(told):
        return {REST: "$any", member: told}
    return told
