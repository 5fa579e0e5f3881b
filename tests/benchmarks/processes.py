"""What Linux says of processes: the CPU seconds of a whole family, the peak of memory."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PARENT, _OWN_AND_REAPED = 1, slice(11, 15)


def family_cpu_s() -> float:
    """CPU seconds of this process and all below it, those that ended counted in."""
    fields = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields[int(folder.name)] = stat.rpartition(")")[2].split()
    family, found = {os.getpid()}, 0
    while len(family) != found:
        found = len(family)
        family |= {pid for pid, stat in fields.items() if int(stat[_PARENT]) in family}
    return sum(sum(map(int, fields[pid][_OWN_AND_REAPED])) for pid in family) / _TICK


def peak_memory_bytes() -> int:
    """The peak of this process' own; that of `getrusage` may be its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
