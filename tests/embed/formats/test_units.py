"""Tests of embed/formats/units.py: names of units, and lengths as text."""

import pytest

from embed.formats.units import length_nm, unit_nm


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("nanometer", 1),
        ("nanometers", 1),
        ("µm", 1000),
        ("μm", 1000),
        ("um", 1000),
        ("micron", 1000),
        ("\\u00B5m", 1000),
        ("Å", 0.1),
        ("angstrom", 0.1),
        ("pm", 1e-3),
        ("mm", 1e6),
        ("m", 1e9),
        ("metre", 1e9),
        ("s", None),
        ("ms", None),
        ("pixel", None),
        ("", None),
    ],
)
def test_units_of_length_are_known_by_their_names_and_signs(text, nm):
    assert unit_nm(text) == nm


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("10 nm", 10),
        ("4.6nm", 4.6),
        ("0.01 um", 10),
        ("1e-8 m", 10),
        (".5 µm", 500),
        ("nm", 1),
        ("10", None),
        ("10 s", None),
        ("1.2.3 nm", None),
        ("", None),
    ],
)
def test_a_length_is_a_number_and_a_unit(text, nm):
    assert length_nm(text) == pytest.approx(nm) if nm else length_nm(text) is None
