"""The examples in the docstrings of downloads run."""

from __future__ import annotations

import doctest

import pytest

from murine.download import bucket, fetching, http, ledger, planning


@pytest.mark.parametrize("module", [bucket, fetching, http, ledger, planning], ids=lambda module: module.__name__)
def test_examples_run(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
