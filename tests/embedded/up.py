"""A small `zuruf up`: the real supervisor and Valkey, with scripts as roles.

`python up.py <settings as JSON> <name of role>=<script>…`; a script calls `started()`, which appends
to `<data folder>/<name>` a line for each start: process number and monotonic time.
"""

import sys

import msgspec

from gateway.embedded.credentials import AppCredentials, Credentials
from gateway.embedded.supervisor import Role, Supervisor, settings_environment
from gateway.settings import Settings

PREAMBLE = """
import os, signal, sys, time, urllib.parse
from gateway.embedded.process import die_with_parent
from gateway.settings import read_settings
die_with_parent()
settings = read_settings()
def started():
    with open(settings.data_path / "{name}", "a") as journal:
        print(os.getpid(), time.monotonic(), file=journal)
"""


def main() -> int:
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    environment = settings_environment(settings)
    roles = []
    for argument in sys.argv[2:]:
        name, _, script = argument.partition("=")
        code = PREAMBLE.format(name=name) + script
        roles.append(Role(name, (sys.executable, "-c", code), environment))

    def prepare(url: str) -> Credentials:
        app = AppCredentials(id="a1", name="Demo", publishable_key="pk", secret_key="sk-secret")
        return Credentials(url=url, console_url="http://console", app=app)

    return Supervisor(settings, roles, prepare).run()


if __name__ == "__main__":
    sys.exit(main())
