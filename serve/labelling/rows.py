"""Labels as the store's file has them."""

from collections.abc import Sequence
from typing import Any

from serve.labelling.label import Label

COLUMNS = """
  label.id, x_nm, y_nm, z_nm, location, class_set.name, class.name, label.author, label.time,
  action.source, segment, is_current, changed
  FROM label JOIN class ON class.id = class_id JOIN class_set ON class_set.id = label.set_id
  JOIN action ON action.id = action_id"""
"""What a row of `label_of` is selected by."""

IS_CURRENT, CHANGED = 11, 12
"""Where in such a row it says whether the label stands, and since which revision."""


def label_of(row: Sequence[Any]) -> Label:
    """The label of a row of `COLUMNS`."""
    id_, x, y, z, location, set_name, name, author, time, source, segment, *_ = row
    return Label(id_, (x, y, z), location, set_name, name, author, time, source, int(segment or 0))
