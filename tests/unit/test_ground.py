"""What is said when a fleet has no ground to stand on, and how much it says once it stands."""

from pathlib import Path

import pytest

from deploy.embedded import binaries
from deploy.embedded.errors import BinaryNotFoundError
from deploy.embedded.postgres_cluster import Cluster
from deploy.embedded.server_user import ServerUser
from deploy.fleet.ground import owned_data_dir
from shared.errors import SettingsError


def test_a_data_directory_that_cannot_be_written_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            SettingsError, match=r"file/data cannot be written by \S+ \(.*\): choose another with --data-dir"
        ),
        owned_data_dir(tmp_path / "file" / "data"),
    ):
        pass


def test_programs_that_are_not_in_the_given_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BinaryNotFoundError, match="postgres was not found"):
        binaries.postgres_bin_dir(tmp_path)
    (tmp_path / "postgres").touch()
    with pytest.raises(BinaryNotFoundError, match=r"initdb was not found .* WEIR_POSTGRES_BIN_DIR"):
        binaries.postgres_bin_dir(tmp_path)


def test_a_server_below_a_folder_of_any_name_is_found_ready(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, ServerUser.ourselves(), tmp_path, tmp_path / "log")
    data = tmp_path / "server" / "data"
    data.mkdir(parents=True)
    lines = ["7", "/Café/données".encode().decode("latin-1"), "0", "5432", "/tmp", "127.0.0.1", "1 2", "ready   "]
    for encoding in ("utf-8", "latin-1"):
        (data / "postmaster.pid").write_text("\n".join(lines) + "\n", encoding)
        assert cluster.is_ready(7)
        assert not cluster.is_ready(8)
