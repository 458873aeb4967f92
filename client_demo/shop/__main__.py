"""`python -m client_demo.shop`, which is what `make demo-app` calls."""

import os
import sys
from tempfile import TemporaryFile

from client_demo.shop import launch


def main() -> int:
    """Start the app; gives the exit code."""
    options = launch.parse()
    try:
        launch.check_machine()
    except launch.LaunchError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        options.state_dir.mkdir(parents=True, exist_ok=True)
        # A folder that is there may still refuse to be written to.
        with TemporaryFile(dir=options.state_dir):
            pass
    except OSError as error:
        print(
            f"{options.state_dir} cannot be used ({error}); another: --state-dir DIR",
            file=sys.stderr,
        )
        return 1
    os.environ.update(launch.environment(options, os.environ))
    from client_demo.shop.app import run

    return run(options)


if __name__ == "__main__":
    sys.exit(main())
