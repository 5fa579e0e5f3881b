"""Labels over gRPC: decode, call, encode."""

import grpc

from serve.catalogue import Catalogue
from serve.labelling import codec
from serve.labelling.store import MAX_TOLD, LabelStore
from serve.pb.voxkin.v1 import label_pb2, label_pb2_grpc
from serve.wire.status import reports_errors

_SOURCE = "gRPC"


class LabelServicer(label_pb2_grpc.LabelServiceServicer):
    """Keeps labels."""

    def __init__(self, atlases: Catalogue) -> None:
        self._atlases = atlases

    @reports_errors
    def ListSets(
        self, request: label_pb2.ListLabelSetsRequest, context: grpc.ServicerContext
    ) -> label_pb2.ListLabelSetsResponse:
        """Every class set."""
        store = self._store(request.atlas)
        return label_pb2.ListLabelSetsResponse(
            revision=store.revision(), sets=map(codec.class_set, store.sets())
        )

    @reports_errors
    def PutSet(
        self, request: label_pb2.PutLabelSetRequest, context: grpc.ServicerContext
    ) -> label_pb2.PutLabelSetResponse:
        """Makes a class set, or changes it."""
        store, wanted = self._store(request.atlas), codec.read_class_set(request.set)
        return label_pb2.PutLabelSetResponse(revision=store.put_set(wanted))

    @reports_errors
    def List(
        self, request: label_pb2.ListLabelsRequest, context: grpc.ServicerContext
    ) -> label_pb2.ListLabelsResponse:
        """What labels came and went."""
        limit = request.limit if request.HasField("limit") else MAX_TOLD
        store = self._store(request.atlas)
        return codec.changes(store.changes(request.set or None, request.after, limit))

    @reports_errors
    def Add(
        self, request: label_pb2.AddLabelsRequest, context: grpc.ServicerContext
    ) -> label_pb2.AddLabelsResponse:
        """Labels places."""
        store, places = self._store(request.atlas), codec.read_new_labels(request.places)
        source = request.source or _SOURCE
        labels, revision = store.add(request.set, request.author, places, source)
        return label_pb2.AddLabelsResponse(labels=map(codec.label, labels), revision=revision)

    @reports_errors
    def Remove(
        self, request: label_pb2.RemoveLabelRequest, context: grpc.ServicerContext
    ) -> label_pb2.RemoveLabelResponse:
        """Takes a label away."""
        revision = self._store(request.atlas).remove(request.id, request.author)
        return label_pb2.RemoveLabelResponse(revision=revision)

    @reports_errors
    def Undo(
        self, request: label_pb2.UndoLabelsRequest, context: grpc.ServicerContext
    ) -> label_pb2.UndoLabelsResponse:
        """Undoes what an author did last."""
        undone, revision = self._store(request.atlas).undo(request.author)
        return label_pb2.UndoLabelsResponse(undone=undone, revision=revision)

    def _store(self, atlas: str) -> LabelStore:
        return LabelStore.open(self._atlases[atlas].atlas)
