"""A session of the benchmarks that a test may change."""

from __future__ import annotations

import pytest

from fastrace.bench import session as shared
from fastrace.bench.session import Session


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session of this process alone, whose settings a test may change."""
    monkeypatch.setattr(shared, "SESSION", Session())
    return shared.SESSION
