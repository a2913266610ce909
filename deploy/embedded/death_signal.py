"""Ties the life of a process to that of its parent, also when the parent is killed with -9.

Imported, it offers `die_with_parent`. Run as a script it is the first program of every embedded server: it
arranges the signal, drops to the server's user and turns into the server, keeping its process id:

    python -I -S death_signal.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENT...

It stands alone (nothing but the standard library, no package import), because a program between fork and exec
is the one place where both steps are safe: `preexec_fn` runs Python code in a forked copy of a process with
threads, and the kernel forgets the signal when a process changes its user, so it must be asked for afterwards.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(sig: signal.Signals, *, parent_pid: int | None = None) -> None:
    """From now on the kernel sends `sig` to this process as soon as its parent has ended.

    Linux only; elsewhere nothing happens. "Parent" is the thread that forked this process, so whoever starts
    children must do it from a thread that stays (see `child_process`). With `parent_pid` the race is closed in
    which the parent died before the call: the signal is then sent at once.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), sig)


def become(arguments: list[str]) -> None:
    """Drop privileges, arrange the death signal and exec the program. Does not return."""
    parent_pid, number, uid, gid = map(int, arguments[:4])
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    os.umask(0o077)
    die_with_parent(signal.Signals(number), parent_pid=parent_pid)
    os.execv(arguments[4], arguments[4:])  # noqa: S606  (a shell is what we do not want)


if __name__ == "__main__":
    become(sys.argv[1:])
