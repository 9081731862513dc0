"""Takes from a process what it does not need: its own, before it reads anything that is not ours.

Linux only; elsewhere nothing happens. What the system does not allow is left out, since the model's
file is one that the operator chose; whether the network is gone is said.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

LOG_BYTES_MAX = 1024 * 1024  # No file may grow beyond it, and the log is the only one it writes.
OOM_SCORE = "900"  # of at most 1000: where memory ends, the kernel ends this process first.

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000


def confine(parent: int) -> bool:
    """Whether the network is still there. `parent` is the process that this one ends with."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LOG_BYTES_MAX, LOG_BYTES_MAX))
    if sys.platform != "linux":
        return True
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(OOM_SCORE)
    libc = ctypes.CDLL(None, use_errno=True)
    is_cut = (
        libc.unshare(_CLONE_NEWNET) == 0  # As root.
        or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    )
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # No core, and no other process looks into it.
    # Last, since a change of credentials takes it back.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # It has ended before we asked to be told.
    return not is_cut
