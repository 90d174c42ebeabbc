"""The one error a person can mend: bad input or configuration, said in one sentence."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input or configuration. The message names the file or field and the way out."""


def require(condition: bool, message: str) -> None:
    """Raises `UserError(message)` unless `condition` holds."""
    if not condition:
        raise UserError(message)


def run_main(main: Callable[[], None]) -> None:
    """Runs a command line's `main`: a `UserError` becomes one line on stderr and exit code 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
