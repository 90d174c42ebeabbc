"""Identity of this machine and of its processes, to tell servers of one project apart."""

import os
import platform
import uuid
from pathlib import Path


def this_machine() -> str:
    """What processes share that see each other: one boot of one machine, one container.

    Containers may have the name of their host, and process numbers of their own.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{platform.system()} {uuid.getnode():x}"


def start_of(process: int) -> str | None:
    """When a process began, in ticks of its kernel.

    Returns:
        "" where that cannot be told, also not whether the process is there; None when it is gone.
    """
    try:
        # Its name, in brackets, may hold anything.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]  # ended, but nobody has asked how
    except OSError:
        pass
    if os.name != "posix":
        return ""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except (OSError, OverflowError):
        pass
    return ""
