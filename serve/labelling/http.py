"""Labels for the page and for curl."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from embed.atlas import Atlas
from embed.errors import DataError, RequestError, VoxkinError
from serve.catalogue import Catalogue
from serve.find_http import Position
from serve.labelling.classes import MAX_CLASSES, ClassSet, LabelClass
from serve.labelling.exporting import export_labels
from serve.labelling.formats import Format, read_content, zipped
from serve.labelling.importing import has_data, import_labels
from serve.labelling.label import Label, Place
from serve.labelling.store import MAX_TOLD, LabelStore
from serve.verbs.arguments import parse_voxel_size

PAGE_SOURCE = "page"
"""What labels that come by HTTP are said to come from."""

MAX_LABELS = 10_000
"""Labels of one request; more are a file to import."""

_TYPES = {"csv": ("csv", "text/csv"), "cave": ("cave.csv", "text/csv")}

SetName = Annotated[str, Query(alias="set")]
Author = Annotated[str, Query(description="who does it")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewLabel(_Body):
    """A place and the name of its class."""

    position_nm: Position
    label: str


class NewLabels(_Body):
    """Labels to store."""

    set: str
    author: str
    labels: Annotated[list[NewLabel], Field(max_length=MAX_LABELS)]


class NewClass(_Body):
    """A class of a set."""

    name: str
    colour: str
    key: str = ""


class NewClasses(_Body):
    """The classes of a set."""

    classes: Annotated[list[NewClass], Field(max_length=MAX_CLASSES)]


class Undo(_Body):
    """Whose last action to undo."""

    author: str


def add_labels(app: FastAPI, atlases: Catalogue) -> None:
    """Adds the routes."""
    _add_sets(app, atlases)
    _add_changes(app, atlases)
    _add_files(app, atlases)


def _add_sets(app: FastAPI, atlases: Catalogue) -> None:
    @app.get("/api/atlases/{name}/label-sets")
    def list_sets(name: str) -> Response:
        """Every class set with the labels that each class has."""
        store = _store(atlases, name)
        return JSONResponse(
            {"revision": store.revision(), "sets": [_told_set(s) for s in store.sets()]}
        )

    @app.put("/api/atlases/{name}/label-sets/{set_name}")
    def put_set(name: str, set_name: str, body: NewClasses) -> Response:
        """Makes a class set, or changes it."""
        classes = tuple(LabelClass(c.name, c.colour, c.key) for c in body.classes)
        return JSONResponse(
            {"revision": _store(atlases, name).put_set(ClassSet(set_name, classes))}
        )


def _add_changes(app: FastAPI, atlases: Catalogue) -> None:
    @app.get("/api/atlases/{name}/labels")
    def changes(
        name: str,
        set_name: Annotated[str | None, Query(alias="set")] = None,
        after: int = 0,
        limit: int = MAX_TOLD,
    ) -> Response:
        """What labels came and went after a revision; all that there are, after 0."""
        found = _store(atlases, name).changes(set_name or None, after, limit)
        return JSONResponse(
            {
                "labels": [_told(label) for label in found.labels],
                "removed": found.removed,
                "revision": found.revision,
                "more": found.more,
            }
        )

    @app.post("/api/atlases/{name}/labels")
    def add(name: str, body: NewLabels) -> Response:
        """Labels places; they are on disk when this is answered."""
        atlas = atlases[name].atlas
        places = [Place(new.position_nm.nm_xyz, new.label) for new in body.labels]
        labels, revision = LabelStore.open(atlas).add(body.set, body.author, places, PAGE_SOURCE)
        voids = zip(labels, _are_void(atlas, labels), strict=True)
        told = [{**_told(label), "void": is_void} for label, is_void in voids]
        return JSONResponse({"labels": told, "revision": revision})

    @app.delete("/api/atlases/{name}/labels/{label_id}")
    def remove(name: str, label_id: int, author: Author) -> Response:
        """Takes a label away."""
        return JSONResponse({"revision": _store(atlases, name).remove(label_id, author)})

    @app.post("/api/atlases/{name}/labels/undo")
    def undo(name: str, body: Undo) -> Response:
        """Undoes what an author did last."""
        undone, revision = _store(atlases, name).undo(body.author)
        return JSONResponse({"undone": undone, "revision": revision})


def _add_files(app: FastAPI, atlases: Catalogue) -> None:
    @app.get("/api/atlases/{name}/labels/export")
    def export(
        name: str, set_name: SetName, format: Format = "csv", resolution: str = ""
    ) -> Response:
        """The labels of a set as a file to keep; a folder of annotations as a zip."""
        served = atlases[name]
        content = export_labels(
            served.atlas,
            set_name,
            format,
            resolution_nm=parse_voxel_size(resolution or None, "resolution"),
            segmentation=served.segmentation,
        )
        if isinstance(content, bytes):
            ending, media_type = _TYPES[format]
        else:
            ending, media_type = "annotations.zip", "application/zip"
            content = zipped(content, set_name)
        kept = f'attachment; filename="{set_name}.{ending}"'
        return Response(content, media_type=media_type, headers={"content-disposition": kept})

    @app.post("/api/atlases/{name}/labels/import")
    async def bring(
        name: str,
        request: Request,
        set_name: SetName,
        author: Author,
        format: Literal["csv", "cave"] = "csv",
        resolution: str = "",
        file: Annotated[str, Query(max_length=80, description="name of the file")] = "",
    ) -> Response:
        """Stores the labels of the file that is sent; one undo takes them all back."""
        content = await request.body()

        def imported() -> dict[str, Any]:
            atlas = atlases[name].atlas
            edges = parse_voxel_size(resolution or None, "resolution")
            try:
                said = read_content(
                    content,
                    format,
                    "the file",
                    frame=atlas.frame,
                    resolution_nm=edges,
                    system=set_name,
                )
            except DataError as error:
                raise RequestError(str(error)) from error  # it came with the request
            return dataclasses.asdict(
                import_labels(atlas, said, set_name, author, file or "a file")
            )

        return JSONResponse(await run_in_threadpool(imported))


def _store(atlases: Catalogue, name: str) -> LabelStore:
    return LabelStore.open(atlases[name].atlas)


def _are_void(atlas: Atlas, labels: Sequence[Label]) -> Sequence[bool | None]:
    """Whether each lies where there are no data; None where that cannot be read."""
    try:
        return (~has_data(atlas, [label.position_nm_xyz for label in labels])).tolist()
    except VoxkinError:
        return [None] * len(labels)  # they are stored by now, which is what was asked for


def _told(label: Label) -> dict[str, Any]:
    x, y, z = label.position_nm_xyz
    return {
        "id": label.id,
        "position_nm": {"x": x, "y": y, "z": z},
        # 64-bit numbers are text, as JavaScript's have 53 bits.
        "location_id": str(label.location),
        "set": label.set,
        "label": label.label,
        "author": label.author,
        "time": label.time,
        "source": label.source,
        "segment": str(label.segment or ""),
    }


def _told_set(known: ClassSet) -> dict[str, Any]:
    classes = zip(known.classes, known.labels, strict=True)
    return {
        "name": known.name,
        "classes": [{**dataclasses.asdict(one), "labels": labels} for one, labels in classes],
    }
