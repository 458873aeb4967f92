"""Devices as Locust users: each kind has its own rhythm of uploads and polls.

They register like the SDK does, compress what is worth it, hold a poll while they are in use and come
back with their old token and a backlog after an outage.
"""

from __future__ import annotations

import os
import random
import time
from collections import deque
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, between, constant_pacing, task

from loadtests import payloads

PUBLISHABLE_KEY = os.environ.get("LOADTESTS_PUBLISHABLE_KEY", "")
MESSAGES_EXPECTED = bool(os.environ.get("LOADTESTS_SECRET_KEY"))

_COMPRESS_FROM_BYTES = 1024
_HOLD_S = 20
_MESSAGE_S_MAX = 10.0
_BACKLOG_BATCHES = 3


class Device(FastHttpUser):
    """What all devices do: register, upload, hold a poll, send the event that brings a message."""

    abstract = True
    form_factor: ClassVar[str]
    batch_events: ClassVar[tuple[int, int]]

    # Devices that went away, to come back with the token they have.
    _parked: ClassVar[dict[str, deque[str]]] = {}
    _made: ClassVar[int] = 0

    def on_start(self) -> None:
        Device._made += 1
        self.random = random.Random(f"{self.form_factor} {Device._made}")
        self.session_id = payloads.batch(self.random, events=1)["events"][0]["session_id"]
        self.cursor = ""
        self.triggered_at: float | None = None
        self.token = ""
        parked = self._parked.setdefault(self.form_factor, deque())
        if parked:
            self.token = parked.popleft()
            for _ in range(_BACKLOG_BATCHES):
                self.upload_batch(self.batch_events[1])
        else:
            self.register()
        self.holding = gevent.spawn(self.hold)

    def on_stop(self) -> None:
        self.holding.kill()
        if self.token:
            self._parked[self.form_factor].append(self.token)

    def register(self) -> None:
        body = payloads.registration(self.random, self.form_factor)
        with self.client.post(
            "/v1/devices", json=body, headers=_bearer(PUBLISHABLE_KEY), catch_response=True
        ) as answer:
            if answer.status_code == 201:
                self.token = answer.json()["token"]
            else:
                answer.failure(f"{answer.status_code}: {answer.text}")

    def upload_batch(self, events: int) -> None:
        self.upload(
            payloads.batch(
                self.random,
                form_factor=self.form_factor,
                events=events,
                session_id=self.session_id,
            )
        )

    def upload(self, batch: payloads.Json) -> None:
        if not self.token:
            self.register()
        body = payloads.encode(batch)
        headers = {**_bearer(self.token), "Content-Type": "application/json"}
        if len(body) >= _COMPRESS_FROM_BYTES:
            body = payloads.compress(body)
            headers["Content-Encoding"] = "gzip"
        with self.client.post(
            "/v1/events", data=body, headers=headers, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text}")
            elif answer.json()["rejected"]:
                answer.failure(f"rejected: {answer.json()['rejected'][0]}")

    def poll(self, wait_s: int = 0) -> list[dict[str, Any]]:
        name = "/v1/messages (held)" if wait_s else "/v1/messages"
        query = f"/v1/messages?after={self.cursor}&wait={wait_s}"
        headers = _bearer(self.token)
        with self.client.get(query, name=name, headers=headers, catch_response=True) as answer:
            if answer.status_code == 204:
                return []
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text}")
                return []
            received = answer.json()
            self.cursor = received["cursor"]
            found: list[dict[str, Any]] = received["messages"]
            return found

    def hold(self) -> None:
        """A poll is held all the time; messages are reported as shown when they come."""
        while True:
            if not self.token:
                gevent.sleep(1)
                continue
            began = time.perf_counter()
            messages = self.poll(_HOLD_S)
            if messages and self.triggered_at is not None:
                self.report(time.perf_counter() - self.triggered_at)
            for message in messages:
                self.upload(payloads.message_shown(self.random, message["id"]))
            if time.perf_counter() - began < 0.05 and not messages:
                gevent.sleep(1)  # the server does not hold: don't hammer it

    def report(self, seconds: float, error: Exception | None = None) -> None:
        """An entry of its own in Locust's table, from sending the event to having the message."""
        self.triggered_at = None
        self.environment.events.request.fire(
            request_type="",
            name="event to message",
            response_time=seconds * 1000,
            response_length=0,
            exception=error,
            context={},
        )

    @task(6)
    def live(self) -> None:
        self.upload_batch(self.random.randint(*self.batch_events))

    @task(2)
    def look(self) -> None:
        self.poll()

    @task(1)
    def trigger(self) -> None:
        if not MESSAGES_EXPECTED:
            return
        if self.triggered_at is not None:
            if time.perf_counter() - self.triggered_at < _MESSAGE_S_MAX:
                return
            self.report(_MESSAGE_S_MAX, TimeoutError("the message did not come"))
        self.triggered_at = time.perf_counter()
        self.upload(payloads.trigger(self.random))


class Phone(Device):
    """Short sessions, many small uploads."""

    weight = 7
    form_factor = "phone"
    batch_events = (3, 20)
    wait_time = between(1, 5)


class Tablet(Device):
    """Fewer and longer sessions on the sofa."""

    weight = 2
    form_factor = "tablet"
    batch_events = (10, 40)
    wait_time = between(3, 10)


class SmartTV(Device):
    """Plays for hours: a heartbeat, always the same."""

    weight = 1
    form_factor = "tv"
    batch_events = (10, 12)
    wait_time = constant_pacing(10)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
