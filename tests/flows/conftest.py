"""What flows over the shared platform begin with."""

from collections.abc import Iterator

import pytest

from tests.platforms import Site
from tests.strangers import LIGHTGBM, folder_of, footprint


@pytest.fixture
def leaves_nothing(site: Site) -> Iterator[None]:
    """A refused request leaves no trace in the bucket."""
    before = footprint(site)
    yield
    assert footprint(site) == before


@pytest.fixture(scope="module")
def dataset(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registered dataset: a table, and a model in the text format of LightGBM."""
    place = folder_of(tmp_path_factory.mktemp("data"), {"x.csv": b"1,2\n", "model.txt": LIGHTGBM})
    return site.ok("dataset", "register", str(place), "--name", "bad-input", "--wait")
