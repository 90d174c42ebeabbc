"""The errors that are said in one sentence, and the exit codes of a command line."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input or configuration. The message names the file or field and the way out."""


class NotFiniteError(FloatingPointError):
    """Training came to a number that is infinite or none. The message names the step."""


def require(condition: bool, message: str) -> None:
    """Raises `UserError(message)` unless `condition` holds."""
    if not condition:
        raise UserError(message)


def run_main(main: Callable[[], None]) -> None:
    """Runs a command line's `main`; what it raises becomes one line on stderr and an exit code.

    2: `UserError`. 3: `NotFiniteError`. 130: Ctrl-C.
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except NotFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
