"""Tests of `voxkin project`; one of them makes a map, which takes a while to compile."""

import pytest

from tests.commandline import files


def test_a_sample_becomes_a_picture_and_a_table(voxkin, own_atlas):
    ended = voxkin("project", own_atlas, "--sample", 60, "--neighbours", 5)

    folder = own_atlas / "projection"
    assert ended.code == 0
    assert ended.err == ""
    assert f"look at {folder / 'umap.png'}; the table is {folder / 'umap.csv'}\n" in ended.out
    header, *rows = (folder / "umap.csv").read_text().splitlines()
    assert header == "id,x_nm,y_nm,z_nm,umap_x,umap_y,cluster"
    assert ended.out.startswith(f"{len(rows)} places in ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sample", "0"], "at least 1; got 0"),
        (["--neighbours", "1"], "2 to 200; got 1"),
        (["--min-dist", "2"], "got 2"),
        (["--sample", "5"], "lower --neighbours"),
    ],
)
def test_a_setting_out_of_range_is_refused(voxkin, own_atlas, words, said):
    before = files(own_atlas)

    assert said in voxkin("project", own_atlas, *words).complaint

    assert files(own_atlas) == before


def test_a_format_that_is_none_is_refused_with_those_there_are(voxkin, own_atlas):
    ended = voxkin("project", own_atlas, "--format", "xls")

    assert ended.code == 2
    assert "'csv'" in ended.err


def test_a_half_written_atlas_is_refused(voxkin, own_atlas):
    (own_atlas / "ledger" / "0.0.0.json").unlink()

    assert "1 of 2 shards" in voxkin("project", own_atlas).complaint
