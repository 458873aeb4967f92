"""Every Valkey key and channel: name, type, owner and lifetime, in one place.

`{p}` is the hash tag of partition p: all keys of a partition share a slot of a Valkey Cluster, so that
one function call can change any of them. Keys of a tenant carry its app id: a foreign id names nothing.

| key                            | type   | written by     | lifetime                               |
| ------------------------------ | ------ | -------------- | -------------------------------------- |
| log:{p}                        | stream | append         | trimmed behind what has been read      |
| seen:{p}:app:source            | string | append         | `dedupe_ttl_s` or more after an upload |
| cursor:{p}                     | hash   | commit         | for ever; reader → last entry read     |
| epoch:{p}                      | int    | lease          | for ever; grows with each new owner    |
| lease:{p}                      | string | lease          | `lease_s`; the owner's name            |
| profile:{p}:app:profile        | string | commit         | for ever                               |
| inbox:{p}:app:profile          | hash   | commit, edge   | `inbox_ttl_s` after the last change    |
| decisions:{p}:app:profile      | list   | commit         | the newest `decisions_max`             |
| timers:{p}                     | zset   | commit         | until due                              |
| outbox:{p}                     | hash   | commit         | until delivered to the other partition |
| dead:{p}                       | stream | commit         | the last 1,000 records that failed     |
| device:{p}:app:device          | string | edge           | `token_ttl_s` + `token_refresh_s`      |
| {definitions}:apps             | hash   | define         | for ever                               |
| {definitions}:journeys         | hash   | define         | for ever; field app/journey            |
| {definitions}:remote-configs   | hash   | define         | for ever; field app                    |
| {definitions}:version          | int    | define         | for ever; grows with each change       |
| workers                        | zset   | worker         | score: when the worker counts as gone  |
| metrics                        | hash   | every process  | a process drops out after a minute     |
| install                        | hash   | first start    | for ever; partitions, last readiness   |

| channel      | says                                                        |
| ------------ | ----------------------------------------------------------- |
| tail:{p}     | the partition's log has a new entry                         |
| wake:{p}     | these inboxes changed: app:profile of each, packed          |
| {definitions}| apps, journeys or remote configurations changed             |
"""

APPS = "{definitions}:apps"
JOURNEYS = "{definitions}:journeys"
REMOTE_CONFIGS = "{definitions}:remote-configs"
DEFINITIONS_VERSION = "{definitions}:version"
DEFINITIONS_CHANNEL = "{definitions}"
WORKERS = "workers"
METRICS = "metrics"
INSTALL = "install"


def partition_of(id_hex: str, partitions: int) -> int:
    """The partition of a profile or device: their ids are uniform, so the first 32 bits decide."""
    return int(id_hex[:8], 16) % partitions


def log(p: int) -> str:
    return f"log:{{{p}}}"


def tail_channel(p: int) -> str:
    return f"tail:{{{p}}}"


def wake_channel(p: int) -> str:
    return f"wake:{{{p}}}"


def seen(p: int, app: str, source: str) -> str:
    return f"seen:{{{p}}}:{app}:{source}"


def cursor(p: int) -> str:
    return f"cursor:{{{p}}}"


def epoch(p: int) -> str:
    return f"epoch:{{{p}}}"


def lease(p: int) -> str:
    return f"lease:{{{p}}}"


def profile(p: int, app: str, profile_id: str) -> str:
    return f"profile:{{{p}}}:{app}:{profile_id}"


def inbox(p: int, app: str, profile_id: str) -> str:
    return f"inbox:{{{p}}}:{app}:{profile_id}"


def decisions(p: int, app: str, profile_id: str) -> str:
    return f"decisions:{{{p}}}:{app}:{profile_id}"


def timers(p: int) -> str:
    return f"timers:{{{p}}}"


def outbox(p: int) -> str:
    return f"outbox:{{{p}}}"


def dead(p: int) -> str:
    return f"dead:{{{p}}}"


def device(p: int, app: str, device_id: str) -> str:
    return f"device:{{{p}}}:{app}:{device_id}"
