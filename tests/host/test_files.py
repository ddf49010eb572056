"""A file or folder is replaced whole, or stays as it was."""

from __future__ import annotations

import os

import pytest

from edgevid.host.files import atomic_folder, atomic_path, atomic_write


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    for content in (b"old", b"new"):
        atomic_write(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("private", "mode"), [(False, 0o640), (True, 0o600)])
def test_a_file_has_the_mode_of_the_umask_unless_it_is_private(tmp_path, private, mode):
    mask = os.umask(0o027)
    try:
        atomic_write(tmp_path / "file", b"", private)
    finally:
        os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_an_error_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "file") as written:
        written.write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_folder_is_replaced_whole_or_stays(tmp_path, fails):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    try:
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "new").touch()
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert os.listdir(tmp_path / "folder") == (["old"] if fails else ["new"])
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("keep", [False, True])
def test_a_folder_of_a_faster_process_stays_if_it_is_good(tmp_path, keep):
    with atomic_folder(tmp_path / "folder", keep=lambda: keep) as folder:
        (folder / "slow").touch()
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "fast").touch()
    assert os.listdir(tmp_path / "folder") == (["fast"] if keep else ["slow"])
    assert os.listdir(tmp_path) == ["folder"]
