"""Zuruf: tell the gateway what happens in an app, and show the messages it answers with.

```python
from pathlib import Path
from zuruf import Config, Zuruf

with Zuruf(Config(endpoint="http://127.0.0.1:8080", publishable_key="pk_…",
                  storage_dir=Path("zuruf-data"))) as client:
    client.track("purchase", {"amount": 12.5})
```
"""

from zuruf.client import Zuruf
from zuruf.clock import Clock, SystemClock
from zuruf.config import Config, Random
from zuruf.consent import Consent
from zuruf.diagnostics import Diagnostics, FlushResult
from zuruf.errors import (
    ConfigError,
    InvalidEventError,
    StorageError,
    TransportError,
    ZurufError,
)
from zuruf.events import IdSource
from zuruf.in_app import Pause
from zuruf.messages import (
    Button,
    Content,
    DisplayDecision,
    InboxMessage,
    Message,
    Question,
    Show,
    Survey,
    Trigger,
)
from zuruf.platform import (
    Device,
    FormFactor,
    Platform,
    PlatformName,
    Screen,
    SystemPlatform,
)
from zuruf.plugins import Event, Plugin
from zuruf.push import PushHandling
from zuruf.storage import Storage
from zuruf.subscriptions import Subscription, Topic
from zuruf.transport import HttpTransport, Transport
from zuruf.version import __version__
from zuruf.wire import Request, Response

__all__ = [
    "Button",
    "Clock",
    "Config",
    "ConfigError",
    "Consent",
    "Content",
    "Device",
    "Diagnostics",
    "DisplayDecision",
    "Event",
    "FlushResult",
    "FormFactor",
    "HttpTransport",
    "IdSource",
    "InboxMessage",
    "InvalidEventError",
    "Message",
    "Pause",
    "Platform",
    "PlatformName",
    "Plugin",
    "PushHandling",
    "Question",
    "Random",
    "Request",
    "Response",
    "Screen",
    "Show",
    "Storage",
    "StorageError",
    "Subscription",
    "Survey",
    "SystemClock",
    "SystemPlatform",
    "Topic",
    "Transport",
    "TransportError",
    "Trigger",
    "Zuruf",
    "ZurufError",
    "__version__",
]
