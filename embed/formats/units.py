"""Lengths as other software writes them, in nanometres."""

import re

_NM: dict[str, float] = {
    "pm": 1e-3,
    "picometer": 1e-3,
    "å": 0.1,  # both code points of the sign fold to this one
    "angstrom": 0.1,
    "ångström": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "µm": 1e3,  # MICRO SIGN; GREEK SMALL LETTER MU is turned into it
    "um": 1e3,
    "micron": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "cm": 1e7,
    "centimeter": 1e7,
    "inch": 25.4e6,
    "m": 1e9,
    "meter": 1e9,
}
_QUANTITY = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)?\s*(\D.*?)?\s*", re.IGNORECASE)


def unit_nm(unit: str) -> float | None:
    """Nanometres in one `unit`, or None where it is no length that we know.

    >>> unit_nm("micrometre"), unit_nm("Å"), unit_nm("microns"), unit_nm("ms"), unit_nm("")
    (1000.0, 0.1, 1000.0, None, None)
    """
    # ImageJ escapes the micro sign; the spelling -metre and the plural mean the same (but "ms" is
    # a time, so only a full name loses its s).
    name = unit.strip().replace("\\u00B5", "µ").replace("μ", "µ").lower()
    name = name.replace("metre", "meter").replace("inches", "inch")
    return _NM.get(name.removesuffix("s") if len(name) > 5 else name)


def length_nm(text: str) -> float | None:
    """A length such as `10 nm`, in nanometres; a bare unit counts once.

    >>> length_nm("4.6 nm"), length_nm("0.01um"), length_nm("nm"), length_nm("3 s"), length_nm("7")
    (4.6, 10.0, 1.0, None, None)
    """
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] is None:
        return None
    factor = unit_nm(match[2])
    return None if factor is None else float(match[1] or 1) * factor
