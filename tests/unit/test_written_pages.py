"""The pages that are made from the code say what the code says."""

from __future__ import annotations

from docs import providers


def test_the_table_of_providers_is_that_of_the_rows() -> None:
    assert providers.PAGE.read_text(encoding="utf-8") == providers.page(), "write it: make docs"
