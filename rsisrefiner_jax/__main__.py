# PYTHON_ARGCOMPLETE_OK
"""rsisrefiner COMMAND ...: all commands under one name, also as `python -m rsisrefiner_jax`.

Nothing here imports jax, so that `--help` and `--version` answer at once.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable

from rsisrefiner_jax.console import COMMANDS, CONSOLE
from rsisrefiner_jax.errors import UserError, run_main

# Modules of the package's dependencies that its group `annotator` does without.
LEFT_OUT = ("tensorflow_datasets", "grain", "array_record", "matplotlib", "pyarrow")


def main() -> None:
    """Runs the command that sys.argv names; ends the process with its exit code."""
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    parser = _parser()
    options = parser.parse_args()
    if options.version:
        print(_version())
    elif options.command is None:
        parser.print_help()
    else:
        sys.argv = [f"{CONSOLE} {options.command}", *options.arguments]
        run_main(lambda: _run(options.command))


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=CONSOLE,
        description="Click-based interactive segmentation of remote-sensing images.",
        epilog="\n".join(["commands:", *lines, "", f"{CONSOLE} COMMAND --help lists its options."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{CONSOLE} {version('rsisrefiner-jax')}"
    except PackageNotFoundError:
        return f"{CONSOLE}: a copy of the sources that is not installed"


def _run(name: str) -> None:
    try:
        _main_of(name)()
    except ModuleNotFoundError as error:  # as where only the annotator was installed
        missing = (error.name or "").partition(".")[0]
        if missing not in LEFT_OUT:
            raise
        raise UserError(
            f"{CONSOLE} {name} needs {missing}; install all of rsisrefiner-jax (docs/install.md)"
        ) from error


def _main_of(name: str) -> Callable[[], None]:
    """The function that runs a command."""
    module = COMMANDS[name].module
    spec = importlib.util.find_spec(module)
    is_package = spec is not None and spec.submodule_search_locations is not None
    return importlib.import_module(f"{module}.__main__" if is_package else module).main


def _complete() -> None:
    """Answers the shell that asks how a line may go on, and ends the process.

    The shell gives the line in COMP_LINE; _ARGCOMPLETE says which word of it is the program, from
    1. Where a command stands there, its own parser completes its own words.
    """
    import argcomplete

    number = int(os.environ["_ARGCOMPLETE"])
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    *whole, _ = line.split(" ")
    name = next(iter([word for word in whole if word][number:]), None)
    if name not in COMMANDS:
        argcomplete.autocomplete(_parser())
    else:
        os.environ["_ARGCOMPLETE"] = str(number + 1)
        # What a command does first is to make its parser and read the command line.
        answer = lambda parser, *_: argcomplete.autocomplete(parser)  # noqa: E731
        argparse.ArgumentParser.parse_args = answer  # type: ignore[assignment]
        _main_of(name)()


if __name__ == "__main__":
    main()
