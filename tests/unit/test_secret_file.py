"""Passwords are made once, whole and private."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.embedded.secret_file import kept_secret


def test_a_secret_stays_the_same_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "password"
    assert kept_secret(path) == kept_secret(path) == path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.iterdir()] == [path]


def test_two_secrets_differ_and_need_no_quoting(tmp_path: Path) -> None:
    one, other = kept_secret(tmp_path / "one"), kept_secret(tmp_path / "other")
    assert one != other
    assert len(one) >= 40
    assert one.replace("-", "").replace("_", "").isalnum()


def test_those_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(kept_secret, [tmp_path / "password"] * 8))) == 1
