"""Tests of serve/versions.py."""

import pytest

from embed.errors import ConfigError, DataError, NotFoundError
from serve.index import build_index, open_index
from serve.manifest import serving_version
from serve.swap import alone
from serve.versions import list_versions, roll_back, use_version
from tests.atlases import make_atlas


@pytest.fixture
def versions(tmp_path):
    """An atlas whose index has three versions."""
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    for _ in range(3):
        build_index(atlas, rebuild=True)
    return atlas


def _damage(atlas, version):
    (atlas.path / "index" / version / "index.faiss").write_bytes(b"")


def test_they_are_listed_with_what_they_are(versions):
    found = list_versions(versions)

    assert [(v.name, v.serving) for v in found] == [
        ("0001", False),
        ("0002", False),
        ("0003", True),
    ]
    assert all(v.manifest.recall == 1 for v in found)


def test_an_atlas_without_an_index_has_none(tmp_path):
    assert list_versions(make_atlas(tmp_path / "a", (5, 5, 5))) == ()


def test_the_one_before_is_put_back_and_the_other_stays(versions):
    first = roll_back(versions)
    second = roll_back(versions)

    assert (first.version, second.version) == ("0002", "0001")
    assert open_index(versions).manifest == second
    assert len(list_versions(versions)) == 3
    assert use_version(versions, "0003") == open_index(versions).manifest


def test_before_the_first_there_is_none(tmp_path):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    build_index(atlas)

    with pytest.raises(NotFoundError, match="no version before 0001"):
        roll_back(atlas)


def test_a_damaged_one_is_passed_over(versions):
    _damage(versions, "0002")

    assert roll_back(versions).version == "0001"


def test_when_all_before_are_damaged_the_one_that_serves_stays(versions):
    _damage(versions, "0001")
    _damage(versions, "0002")

    with pytest.raises(DataError, match="no version before 0003 can be used"):
        roll_back(versions)

    assert serving_version(versions) == "0003"


@pytest.mark.parametrize("version", ["0009", "..", "", "../../other/index/0001"])
def test_a_version_that_is_not_there_is_refused_and_those_that_are_named(versions, version):
    with pytest.raises(NotFoundError, match="there are: 0001, 0002, 0003"):
        use_version(versions, version)


def test_a_version_is_not_changed_while_another_is_made(versions):
    with alone(versions.path / "index"), pytest.raises(Exception, match="another process"):
        roll_back(versions)


def test_no_more_are_kept_than_asked_for_and_never_less_than_what_serves(versions):
    build_index(versions, rebuild=True, keep=2)

    assert [v.name for v in list_versions(versions)] == ["0003", "0004"]


def test_one_to_keep_is_refused(versions):
    with pytest.raises(ConfigError, match="2 or more"):
        build_index(versions, keep=1)
