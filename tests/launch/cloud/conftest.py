"""A fake cloud for each test."""

import pytest

from tests.launch.cloud.cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()
