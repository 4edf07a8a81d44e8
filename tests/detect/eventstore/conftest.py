"""Both forms in which events rest."""

from __future__ import annotations

import pytest

from istmo.detect.eventstore.sealing import NO_KEYS, Keys

KEY, OTHER = b"k" * 32, b"o" * 32
FORMS = [pytest.param(NO_KEYS, id="plain"), pytest.param(Keys([KEY]), id="sealed")]


@pytest.fixture(params=FORMS)
def keys(request: pytest.FixtureRequest) -> Keys:
    """No keys, then one that seals."""
    form: Keys = request.param
    return form
