"""What can keep the demo from running. Every message ends with the way out."""


class DemoError(Exception):
    """The demo cannot go on; the text says what to do."""
