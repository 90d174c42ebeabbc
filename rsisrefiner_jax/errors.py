"""The errors a person can mend, said in one sentence, and how a command ends with them."""

import signal
import sys
from collections.abc import Callable

from rsisrefiner_jax.causes import explain

# What asks a run to end; Windows has the first two.
STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)
NOT_FINITE = 3  # exit code of a run that came to a number that is infinite or none
STOPPED = 75  # exit code of a run that was asked to end: sysexits' "try again later"


class UserError(Exception):
    """Bad input or configuration. The message names the file or field and the way out."""


class NotFiniteError(FloatingPointError):
    """Training came to a number that is infinite or none. The message names the step."""


class Stopped(Exception):
    """A run was asked to end by a signal; the same command goes on. The message says where."""


def require(condition: bool, message: str) -> None:
    """Raises `UserError(message)` unless `condition` holds."""
    if not condition:
        raise UserError(message)


def run_main(main: Callable[[], None]) -> None:
    """Runs a command line's `main`: an error a person can mend is one line on stderr.

    Exit codes: 2 such an error, 3 numbers that are not finite, 75 asked to end by a signal, 130 by
    Ctrl-C.
    """
    try:
        main()
    except Exception as error:
        code, sentence = outcome(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        sys.exit(code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def outcome(error: BaseException) -> tuple[int, str | None]:
    """(exit code, what is said) of an error that ends a command; None: its traceback."""
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, Stopped):
        return STOPPED, str(error)
    if isinstance(error, NotFiniteError):
        return NOT_FINITE, f"error: {error}"
    sentence = str(error) if isinstance(error, UserError) else explain(error)
    return (1, None) if sentence is None else (2, f"error: {sentence}")
