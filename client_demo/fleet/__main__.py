"""`python -m client_demo.fleet`, which is what `make demo` calls."""

import signal
import sys


def main() -> int:
    """Run the demo, or say what is not installed."""
    try:
        from client_demo.fleet.demo import run
    except ModuleNotFoundError as error:
        print(f"The demo needs {error.name}, which is not installed: `make demo` installs it.")
        return 1
    # However it ends, the gateway that was started for it ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
