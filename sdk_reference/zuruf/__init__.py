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
from zuruf.config import Config, Device, Screen
from zuruf.diagnostics import Diagnostics, FlushResult
from zuruf.messages import Button, Content, DisplayDecision, Message, Show
from zuruf.version import __version__

__all__ = [
    "Button",
    "Config",
    "Content",
    "Device",
    "Diagnostics",
    "DisplayDecision",
    "FlushResult",
    "Message",
    "Screen",
    "Show",
    "Zuruf",
    "__version__",
]
