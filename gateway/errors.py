"""What can go wrong, and how it is told.

ZurufError
├── Problem              a request cannot be served; becomes problem+json with a stable code
├── StoreError           a call to Valkey did not do what was asked
│   ├── StoreUnavailable   it did not answer: the outcome is unknown
│   └── StoreRefused       it answered with an error
├── UnreadableError      something in the store can't be decoded; it is set aside
├── SettingError         a setting is unknown or out of bounds; the process does not start
├── CommandError         a command can't do what it was asked for
└── PortBusy, StartFailed, ValkeyFailed, DataFolderBusy   why `zuruf up` does not start (embedded/)
"""

PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed_body": (400, "The body cannot be read"),
    "invalid_body": (400, "The body is not of the documented shape"),
    "malformed_compression": (400, "The compressed body cannot be read"),
    "nothing_acceptable": (400, "No event of the batch is acceptable"),
    "empty_batch": (400, "The batch has no events"),
    "invalid_query": (400, "A query parameter is missing or out of range"),
    "invalid_rule": (400, "The rule cannot be understood"),
    "token_missing": (401, "A device token is needed"),
    "token_malformed": (401, "The device token cannot be read"),
    "token_forged": (401, "The device token is not ours"),
    "token_expired": (401, "The device token has expired"),
    "token_superseded": (401, "The device has moved to another profile"),
    "key_invalid": (401, "Not a live key of the kind this route needs"),
    "proof_required": (401, "This app verifies identities"),
    "proof_invalid": (401, "The proof of identity is not valid"),
    "not_found": (404, "Nothing here"),
    "method_not_allowed": (405, "The route has no such method"),
    "body_timeout": (408, "The body did not arrive in time"),
    "conflict": (409, "The resource exists or has changed"),
    "body_too_large": (413, "The body is too large"),
    "inflated_body_too_large": (413, "The body is too large after decompression"),
    "too_many_events": (413, "The batch has too many events"),
    "unsupported_media_type": (415, "The media type is not supported"),
    "unsupported_encoding": (415, "The content encoding is not supported"),
    "device_rate_limited": (429, "The device sends too fast"),
    "app_rate_limited": (429, "The app sends too fast"),
    "registration_rate_limited": (429, "Too many registrations from this address"),
    "internal": (500, "Something is wrong on our side"),
    "overloaded": (503, "The gateway has too much to do"),
    "store_unavailable": (503, "The store does not answer"),
    "draining": (503, "This process is shutting down"),
}
"""Code → (HTTP status, title). The codes are part of the protocol; titles may change."""

EVENT_PROBLEMS = (
    "invalid_event",
    "event_too_large",
    "too_many_props",
    "key_too_long",
    "value_too_long",
    "name_too_long",
    "too_deep",
)
"""Codes of a rejected event inside an accepted batch."""


class ZurufError(Exception):
    """Root of all errors that are expected to happen."""


class Problem(ZurufError):
    """A request cannot be served. `retry_after_s` is sent with every 429 and 503, `allow` with a 405."""

    def __init__(
        self, code: str, detail: str = "", *, retry_after_s: int = 1, allow: str = ""
    ) -> None:
        assert code in PROBLEMS, f"undocumented problem code {code!r}"
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.allow = allow

    @property
    def status(self) -> int:
        """HTTP status."""
        return PROBLEMS[self.code][0]

    @property
    def title(self) -> str:
        """One sentence for people."""
        return PROBLEMS[self.code][1]


class StoreError(ZurufError):
    """A call to Valkey did not do what was asked, as far as we know."""


class StoreUnavailable(StoreError):
    """Valkey did not answer. What was asked may or may not have happened."""


class StoreRefused(StoreError):
    """Valkey answered a command with an error; the text is Valkey's."""


class UnreadableError(ZurufError):
    """Something in the store can't be decoded; it is set aside and told, not guessed at."""


class SettingError(ZurufError):
    """A setting is unknown or out of bounds."""


class CommandError(ZurufError):
    """A command can't do what it was asked for; the text says what to do instead."""
