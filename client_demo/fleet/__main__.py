"""`python -m client_demo.fleet`, which is what `make demo` calls."""

import sys


def main() -> int:
    """Run the demo, or say what is not installed."""
    try:
        from client_demo.fleet.demo import run
    except ModuleNotFoundError as error:
        print(f"The demo needs {error.name}, which is not installed: `make demo` installs it.")
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
