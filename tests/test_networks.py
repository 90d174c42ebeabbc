"""The networks that come with the package."""

import pytest

from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.networks import PACKAGED, checkpoint_folder


def test_a_packaged_network_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_weights("small").config.name == "annotator"
    (tmp_path / "small").mkdir()  # a folder of one's own comes first
    assert checkpoint_folder("small").absolute() == tmp_path / "small"
    with pytest.raises(UserError, match="small holds no checkpoint"):
        load_weights("small")
    with pytest.raises(UserError, match=r"bxo holds no checkpoint.*packaged one: small"):
        load_weights("bxo")


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_network_is_whole_and_says_where_it_comes_from(name):
    files = [path for path in PACKAGED[name].rglob("*") if path.is_file()]
    assert 1e6 < sum(path.stat().st_size for path in files) < 45e6
