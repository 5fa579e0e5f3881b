"""Tests of serve/verbs/arguments.py: how words become arguments, and what help says of them."""

import pytest

from embed.errors import ConfigError
from embed.geometry import Box
from serve.verbs.arguments import (
    Axes,
    Count,
    Flag,
    Number,
    Size,
    Whole,
    box_text,
    call,
    call_one_of,
    describe,
    parse_box,
    parse_position,
    parse_steps,
    parse_voxel_size,
    xyz_text,
)


def measure(
    voxel_size: Size = None,
    axes: Axes = None,
    level: Whole = None,
    apart: Number = None,
    count: Count = 3,
    exact: Flag = False,
) -> tuple[object, ...]:
    """Measures a thing, in a sentence so long that no line of eighty characters could ever hold it.

    Examples:
      voxkin measure --an-example-that-is-longer-than-eighty-characters-to-be-copied --as it-is

    Args:
        voxel_size: in nm, where the thing
            `does not` say.
        axes: of it.
        level: of it.
        apart: how far, in nm.
        count: how often.
        exact: rather than quickly.
    """
    return voxel_size, axes, level, apart, count, exact


def test_flags_become_what_their_types_say():
    words = "--voxel-size 8,8,40 --axes zyx --level 2 --apart 1.5 --count 7 --exact".split()

    assert call(measure, "measure", words) == ("8,8,40", "zyx", 2, 1.5, 7, True)


def test_flags_that_are_left_out_are_none_or_their_default():
    assert call(measure, "measure", []) == (None, None, None, None, 3, False)


def test_a_value_that_begins_with_a_minus_is_a_value():
    assert call(measure, "measure", ["--voxel-size", "-8,8,40", "--apart", "-2"])[:1] == (
        "-8,8,40",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--level", "x"], "--level"),
        (["--level"], "--level"),
        (["--levle", "3"], "--level N"),
        (["stray"], "stray"),
    ],
)
def test_a_word_that_does_not_fit_is_refused_and_the_flag_meant_is_named(words, said, capsys):
    with pytest.raises(SystemExit) as end:
        call(measure, "measure", words)

    assert end.value.code == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def help_text(capsys) -> str:
    """What `voxkin measure --help` prints in a window of eighty columns."""
    with pytest.raises(SystemExit) as end:
        call(measure, "measure", ["--level", "2", "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_help_says_what_the_verb_does_then_its_usage_then_its_flags(help_text):
    parts = ["Measures a thing", "Examples:", "usage: voxkin measure", "--voxel-size X,Y,Z"]

    assert sorted(parts, key=help_text.index) == parts


def test_help_fits_the_window_except_for_examples(help_text):
    long = [line for line in help_text.splitlines() if len(line) > 80]

    assert long == [line for line in (measure.__doc__ or "").splitlines() if "to-be-copied" in line]


def test_help_shows_no_none_and_no_default_of_what_is_merely_off(help_text):
    assert "None" not in help_text
    assert "False" not in help_text
    assert "(default: 3)" in help_text


def test_help_joins_the_lines_of_a_docstring(help_text):
    assert "thing `does not` say." in " ".join(help_text.replace("│", " ").split())


def test_a_description_ends_before_the_arguments():
    assert describe(measure).endswith("--as it-is")


def test_the_second_word_chooses(capsys):
    def first(name: str) -> None:
        """Says one."""
        print("one", name)

    call_one_of({"first": first}, "job", "A job of two.", ["first", "--name", "x"])

    assert capsys.readouterr().out == "one x\n"


@pytest.mark.parametrize("words", [[], ["frist", "--help"]])
def test_a_second_word_that_is_missing_or_unknown_is_refused_with_those_there_are(words):
    with pytest.raises(ConfigError, match="first, second"):
        call_one_of({"first": print, "second": print}, "job", "A job of two.", words)


def test_help_of_a_verb_of_two_words_lists_the_second_ones(capsys):
    call_one_of({"measure": measure}, "job", "A job of two.", ["--help"])

    said = capsys.readouterr().out
    assert "A job of two." in said
    assert "  measure  Measures a thing" in said


def test_a_position_is_x_y_z_with_or_without_spaces_and_signs():
    assert parse_position("-1200, 860.5,6e2", "--at") == (-1200, 860.5, 600)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "1 2 3", "nan,0,0", "0,inf,0"])
def test_a_position_that_is_not_three_finite_numbers_is_refused(text):
    with pytest.raises(ConfigError, match=r"--at takes three .*numbers X,Y,Z in nm"):
        parse_position(text, "--at")


def test_no_voxel_size_is_none():
    assert parse_voxel_size(None) is None


@pytest.mark.parametrize("text", ["8,8", "0,8,8", "-8,8,8", "nan,8,8", "8x8x8"])
def test_a_voxel_size_that_is_not_three_lengths_is_refused(text):
    with pytest.raises(ConfigError, match="--voxel-size takes three"):
        parse_voxel_size(text)


def test_steps_and_boxes_are_turned_to_zyx_and_back():
    box = parse_box("1:2,3:5,-7:11", "--box")

    assert parse_steps("4,8,16", "--stride") == (16, 8, 4)
    assert xyz_text((16, 8, 4)) == "4,8,16"
    assert box == Box((-7, 3, 1), (11, 5, 2))
    assert box_text(box) == "1:2,3:5,-7:11"


@pytest.mark.parametrize("text", ["8,8", "8,8,0", "8,8,-8", "8.5,8,8", "x"])
def test_steps_that_are_not_three_whole_numbers_are_refused(text):
    with pytest.raises(ConfigError, match="as in --stride 8,8,8"):
        parse_steps(text, "--stride")


@pytest.mark.parametrize(
    "text", ["0:9,0:9", "0:9,0:9,9:0", "0:9,0:9,5:5", "0-9,0-9,0-9", "0:9:2,0:9,0:9"]
)
def test_a_box_that_is_not_three_ranges_is_refused(text):
    with pytest.raises(ConfigError, match="as in --box 0:250,0:250,0:120"):
        parse_box(text, "--box")
