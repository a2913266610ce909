"""Embedded servers listen where no outgoing connection of a client can take their place."""

import socket
from pathlib import Path

from deploy.embedded.local_address import MAX_SOCKET_PATH_BYTES, SocketDirectory, free_port, port_is_free

EPHEMERAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_free_port_lies_below_those_of_outgoing_connections() -> None:
    lowest = int(EPHEMERAL_PORTS.read_text().split()[0]) if EPHEMERAL_PORTS.exists() else 32_768
    assert all(free_port() < lowest for _ in range(50))


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not port_is_free(listener.getsockname()[1])


def test_a_long_path_gets_a_short_private_folder_that_is_cleared_by_the_next_start(tmp_path: Path) -> None:
    note = tmp_path / "note"
    sockets = SocketDirectory(tmp_path / ("x" * MAX_SOCKET_PATH_BYTES), "a.sock", note)
    first = sockets.prepare(-1, -1)
    assert first.stat().st_mode & 0o777 == 0o700
    assert len(bytes(first / "a.sock")) <= MAX_SOCKET_PATH_BYTES
    second = sockets.prepare(-1, -1)
    assert second.exists()
    assert not first.exists()
    sockets.clear()
    assert not second.exists()
    assert not note.exists()


def test_a_note_that_names_another_folder_clears_nothing(tmp_path: Path) -> None:
    note, precious = tmp_path / "note", tmp_path / "precious"
    precious.mkdir()
    note.write_text(str(precious))
    SocketDirectory(tmp_path, "a.sock", note).clear()
    assert precious.exists()
