"""What `locust -f loadtests/locustfile.py` finds: the devices and the course they take.

`python -m loadtests` runs it with the keys of a gateway; by hand, the environment says what to do:
LOADTESTS_PUBLISHABLE_KEY, LOADTESTS_SECRET_KEY (for messages), LOADTESTS_SHAPE, _USERS, _DURATION_S.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

from locust import LoadTestShape, events

from loadtests import payloads, shapes
from loadtests.users import Phone, SmartTV, Tablet

__all__ = ["Phone", "Shape", "SmartTV", "Tablet"]


class Shape(LoadTestShape):
    """The course that the environment names."""

    _course = staticmethod(
        shapes.SHAPES[os.environ.get("LOADTESTS_SHAPE", "ramp")](
            int(os.environ.get("LOADTESTS_USERS", "200")),
            float(os.environ.get("LOADTESTS_DURATION_S", "60")),
        )
    )

    def tick(self) -> shapes.Tick:
        return self._course(self.get_run_time())


@events.test_start.add_listener
def create_journey(environment: Any, **_: Any) -> None:
    """The journey behind "event to message"; archived when the test ends."""
    if not os.environ.get("LOADTESTS_SECRET_KEY"):
        return
    content = {"layout": "banner", "title": "Thank you", "body": "Your order is on its way."}
    journey = {
        "name": "loadtests: answer the trigger",
        "status": "live",
        "entry": {"event": payloads.TRIGGER_EVENT},
        "message": {"content": content, "priority": 60, "ttl_s": 60},
    }
    made = _admin(environment, "POST", "/admin/v1/journeys", payloads.encode(journey))
    environment.journey_path = f"/admin/v1/journeys/{made['id']}"


@events.test_stop.add_listener
def archive_journey(environment: Any, **_: Any) -> None:
    path = getattr(environment, "journey_path", None)
    if path:
        _admin(environment, "DELETE", path)


def _admin(environment: Any, method: str, path: str, body: bytes | None = None) -> Any:
    # Not through Locust's client: this is no part of what is measured.
    headers = {
        "Authorization": f"Bearer {os.environ['LOADTESTS_SECRET_KEY']}",
        "Content-Type": "application/json",
    }
    url = f"{environment.host}{path}"
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - http only
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if text else None
