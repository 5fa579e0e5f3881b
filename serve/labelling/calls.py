"""The client's calls that read and change labels."""

import contextlib
from collections.abc import Sequence

from serve.labelling import codec
from serve.labelling.classes import ClassSet
from serve.labelling.label import Changes, Label, Place
from serve.pb.voxkin.v1 import label_pb2, label_pb2_grpc


class LabelCalls:
    """Labels at a server; a part of `serve.client.Client`.

    Every change is on the server's disk when its call returns. Where a call fails because the
    connection broke, the change may have been made: ask `labels` before making it again.
    """

    _labels: label_pb2_grpc.LabelServiceStub
    _timeout_s: float

    def _reporting(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError

    def label_sets(self, atlas: str | None = None) -> tuple[ClassSet, ...]:
        """The class sets of an atlas, in the order in which they were made."""
        request = label_pb2.ListLabelSetsRequest(atlas=atlas or "")
        with self._reporting():
            answer = self._labels.ListSets(request, timeout=self._timeout_s)
        return tuple(map(codec.read_class_set, answer.sets))

    def put_label_set(self, wanted: ClassSet, atlas: str | None = None) -> int:
        """Makes a class set, or changes it into this; the revision after it."""
        request = label_pb2.PutLabelSetRequest(atlas=atlas or "", set=codec.class_set(wanted))
        with self._reporting():
            return int(self._labels.PutSet(request, timeout=self._timeout_s).revision)

    def labels(
        self,
        set_name: str | None = None,
        after: int = 0,
        limit: int | None = None,
        atlas: str | None = None,
    ) -> Changes:
        """The labels that came and went after a revision; from 0 on, those that there are.

        Args:
            set_name: only of this class set.
            after: the revision of an earlier answer.
            limit: how many at most, 1 to 100,000, the default.
            atlas: name of the atlas.
        """
        request = label_pb2.ListLabelsRequest(
            atlas=atlas or "", set=set_name or "", after=after, limit=limit
        )
        with self._reporting():
            answer = self._labels.List(request, timeout=self._timeout_s)
        return codec.read_changes(answer)

    def add_labels(
        self,
        set_name: str,
        author: str,
        places: Sequence[Place],
        source: str = "",
        atlas: str | None = None,
    ) -> tuple[Label, ...]:
        """Labels the locations nearest to some places, all or none; the labels that stand.

        Args:
            set_name: of the class set.
            author: who labels.
            places: at least one, and 10,000 at most; only position and class are sent.
            source: where they come from, for people.
            atlas: name of the atlas.
        """
        request = label_pb2.AddLabelsRequest(
            atlas=atlas or "",
            set=set_name,
            author=author,
            places=codec.new_labels(places),
            source=source,
        )
        with self._reporting():
            answer = self._labels.Add(request, timeout=self._timeout_s)
        return tuple(map(codec.read_label, answer.labels))

    def remove_label(self, label_id: int, author: str, atlas: str | None = None) -> int:
        """Takes a label away, whoever made it; the revision after it."""
        request = label_pb2.RemoveLabelRequest(atlas=atlas or "", id=label_id, author=author)
        with self._reporting():
            return int(self._labels.Remove(request, timeout=self._timeout_s).revision)

    def undo_labels(self, author: str, atlas: str | None = None) -> str:
        """Undoes the newest action of an author that is not undone; what it was, for people."""
        request = label_pb2.UndoLabelsRequest(atlas=atlas or "", author=author)
        with self._reporting():
            return str(self._labels.Undo(request, timeout=self._timeout_s).undone)
