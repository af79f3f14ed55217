"""What is in git is in the wheel: no table, template or marker is left behind."""

from __future__ import annotations

import zipfile

from wheels import build_wheel


def files_of(wheel):
    """The package's files in a wheel, without what describes the wheel itself."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_has_the_files_of_git(wheel, package_files):
    assert files_of(wheel) == package_files


def test_source_archive_builds_the_same_wheel(source_archive, package_files, tmp_path):
    assert files_of(build_wheel(source_archive, tmp_path)) == package_files


def test_files_that_are_no_code_are_looked_at(package_files):
    """The comparison would be empty talk if git listed code alone."""
    kinds = {name.rpartition(".")[2] for name in package_files}
    assert {"py", "typed", "csv", "js", "css", "j2"} <= kinds
