"""Where an embedded server listens: a loopback port and a directory for its Unix socket."""

import os
import random
import shutil
import socket
import tempfile
from pathlib import Path

# Below the range from which Linux, macOS and IANA take the ports of outgoing connections. Inside it, a client that
# knocks again and again while its server restarts may be given the very port it knocks on, connect to itself
# (TCP allows that) and keep the server from coming back.
FIRST_PORT, LAST_PORT = 15_000, 32_000

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, the terminating zero included.
MAX_SOCKET_PATH_BYTES = 100

PREFIX = "weir-"


def free_port() -> int:
    """A loopback port that nobody listens on. It is free now, not reserved: bind it soon."""
    while True:
        port = random.randint(FIRST_PORT, LAST_PORT)  # noqa: S311  (no secret)
        if port_is_free(port):
            return port


def port_is_free(port: int) -> bool:
    """Whether a server could listen on it now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last one may linger
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class SocketDirectory:
    """A private directory in which a socket called `name` has a path short enough for the kernel.

    That is `preferred`, unless its path is too long: then a directory of mode 0700 in the temporary folder,
    whose place is written to the file `note`, so that the next start clears it away after a crash.
    """

    def __init__(self, preferred: Path, name: str, note: Path) -> None:
        self._preferred = preferred
        self._name = name
        self._note = note

    def prepare(self, uid: int, gid: int) -> Path:
        """The directory; given to the user `uid` if it had to be made."""
        self.clear()
        if self._fits(self._preferred):
            return self._preferred
        place = Path(tempfile.mkdtemp(prefix=PREFIX))
        if not self._fits(place):
            place.rmdir()
            place = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
        os.chown(place, uid, gid)
        self._note.write_text(str(place))
        return place

    def clear(self) -> None:
        """Remove a directory made by `prepare`, now or in a life that a crash ended."""
        if not self._note.exists():
            return
        place = Path(self._note.read_text())
        if place.name.startswith(PREFIX):  # a note cut short by a crash must not name anything else
            shutil.rmtree(place, ignore_errors=True)
        self._note.unlink()

    def _fits(self, directory: Path) -> bool:
        return len(os.fsencode(directory / self._name)) <= MAX_SOCKET_PATH_BYTES
