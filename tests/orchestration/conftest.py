"""A running lakehouse, which the tests of a session share."""

from collections.abc import Iterator

import pytest
from dagster_service import Service, running_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service
