"""Tests of serve/labelling/http.py over a real HTTP port, and of who may label there."""

import io
import ssl
import zipfile

import httpx
import pytest

from serve.gate.credentials import TlsFiles
from serve.gate.quota import Limits
from serve.gate.tokens import Grant, digest_of, line_of, make_token
from serve.labelling.formats import read_content, read_file
from serve.labelling.store import FILE, LabelStore
from serve.server import Settings, start_server
from tests.certificates import Authority
from tests.served import INSIDE

ANY = "127.0.0.1:0"
BASE = "/api/atlases/small"
HERE = dict(zip("xyz", INSIDE, strict=True))
VOID = {"x": 68, "y": 68, "z": 75}
CLASSES = [
    {"name": "mito", "colour": "#e69f00", "key": "m"},
    {"name": "axon", "colour": "#56b4e9", "key": ""},
]
TOKENS = {scope: make_token() for scope in ("read", "write", "admin")}


@pytest.fixture(scope="module")
def server(served):
    with start_server({"small": served}, ANY, ANY) as server:
        yield server


@pytest.fixture
def http(server, served):
    """A client of an atlas with a class set and no label."""
    for file in served.atlas.path.glob(f"{FILE}*"):
        file.unlink()
    with httpx.Client(base_url=f"http://{server.http_address}{BASE}", timeout=30) as http:
        assert http.put("label-sets/structures", json={"classes": CLASSES}).status_code == 200
        yield http


def label(http, name="mito", at=HERE, author="ana"):
    body = {"set": "structures", "author": author, "labels": [{"position_nm": at, "label": name}]}
    return http.post("labels", json=body)


def error_of(answer):
    assert answer.json().keys() == {"error"}
    return answer.json()["error"]


def test_a_label_is_on_disk_when_it_is_answered_and_everybody_sees_it(http, served):
    answer = label(http).json()

    (told,) = answer["labels"]
    (stored,) = LabelStore.open(served.atlas).labels("structures")
    assert told["id"] == stored.id
    assert told["position_nm"] == HERE
    assert told["location_id"] == str(stored.location)
    assert {k: told[k] for k in ("set", "label", "author", "source", "void", "segment")} == {
        "set": "structures",
        "label": "mito",
        "author": "ana",
        "source": "page",
        "void": False,
        "segment": "",
    }
    listed = http.get("labels", params={"set": "structures"}).json()
    assert listed["labels"] == [{k: v for k, v in told.items() if k != "void"}]
    assert listed["revision"] == answer["revision"]


def test_a_void_may_be_labelled_and_is_told(http):
    assert label(http, at=VOID).json()["labels"][0]["void"] is True


def test_sets_are_listed_with_their_classes_and_labels(http):
    label(http)

    answer = http.get("label-sets").json()

    counted = [{**CLASSES[0], "labels": 1}, {**CLASSES[1], "labels": 0}]
    assert answer["sets"] == [{"name": "structures", "classes": counted}]
    assert answer["revision"] == 2


def test_changes_are_told_after_a_revision(http):
    first = label(http).json()
    second = label(http, "axon").json()

    news = http.get("labels", params={"set": "structures", "after": first["revision"]}).json()

    assert [told["id"] for told in news["labels"]] == [second["labels"][0]["id"]]
    assert news["removed"] == [first["labels"][0]["id"]]
    assert news["more"] is False


def test_a_label_is_removed_and_an_undo_puts_it_back(http):
    id_ = label(http).json()["labels"][0]["id"]

    removed = http.delete(f"labels/{id_}", params={"author": "bob"})
    again = http.delete(f"labels/{id_}", params={"author": "bob"})
    undone = http.post("labels/undo", json={"author": "bob"})

    assert (removed.status_code, again.status_code, undone.status_code) == (200, 404, 200)
    assert undone.json()["undone"] == "put back 'mito' (structures) at 260, 260, 435 nm"
    assert [told["id"] for told in http.get("labels").json()["labels"]] == [id_]


def test_conflicts_are_told_as_such(http):
    label(http)

    dropped = http.put("label-sets/structures", json={"classes": CLASSES[1:]})
    nothing = http.post("labels/undo", json={"author": "bob"})

    assert (dropped.status_code, nothing.status_code) == (409, 409)
    assert "cannot be dropped" in error_of(dropped)
    assert "nothing to undo" in error_of(nothing)


def sent(http, **more):
    body = {"set": "structures", "author": "ana"} | more
    return http.post("labels", json={"labels": [{"position_nm": HERE, "label": "mito"}]} | body)


BAD = {
    "outside": (lambda h: label(h, at={"x": 1e6, "y": 0, "z": 0}), 400, "outside atlas"),
    "no number": (lambda h: label(h, at={"x": "much", "y": 0, "z": 0}), 400, "x: input should be"),
    "an axis too many": (lambda h: label(h, at={**HERE, "t": 1}), 400, "t: extra"),
    "no class": (lambda h: label(h, "soma"), 400, "it has: mito, axon"),
    "no author": (lambda h: label(h, author=""), 400, "an author is 1 to 100"),
    "a class of 10 kB": (lambda h: label(h, "x" * 10_000), 400, "no class 'xxx"),
    "an author of 10 kB": (lambda h: label(h, author="x" * 10_000), 400, "10,000 characters"),
    "control characters": (lambda h: label(h, author="a\u0007"), 400, "printable"),
    "no set": (lambda h: sent(h, set="nobody"), 404, "there are: structures"),
    "a set as a path": (lambda h: sent(h, set="../../etc"), 400, "1 to 64 of a-z"),
    "no labels": (lambda h: sent(h, labels=[]), 400, "at least one"),
    "too many": (
        lambda h: sent(h, labels=[{"position_nm": HERE, "label": "mito"}] * 10_001),
        400,
        "at most 10000",
    ),
    "no JSON": (lambda h: h.post("labels", content=b"{"), 400, "body: input should be a valid"),
    "an endless id": (lambda h: h.delete(f"labels/{10**30}?author=a"), 404, "no label"),
    "an id as text": (lambda h: h.delete("labels/x?author=a"), 400, "label_id: "),
    "nobody removes": (lambda h: h.delete("labels/1"), 400, "author: field required"),
    "an endless revision": (lambda h: h.get(f"labels?after={10**30}"), 400, "after is a revision"),
    "an unknown format": (
        lambda h: h.get("labels/export?set=structures&format=exe"),
        400,
        "format: input should be 'csv', 'cave' or 'precomputed'",
    ),
    "nothing to write": (lambda h: h.get("labels/export?set=structures"), 409, "no labels yet"),
    "an empty file": (lambda h: h.post("labels/import?set=s&author=a"), 400, "no header"),
    "a colour that is none": (
        lambda h: h.put("label-sets/s", json={"classes": [{"name": "a", "colour": "url(x)"}]}),
        400,
        "#rrggbb",
    ),
}


@pytest.mark.parametrize(("ask", "status", "words"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_the_rule_and_changes_nothing(http, ask, status, words):
    before = http.get("label-sets").json()

    answer = ask(http)

    assert (answer.status_code, words in error_of(answer)) == (status, True), answer.text
    assert http.get("label-sets").json() == before


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "'); DROP TABLE label; --", "{{7*7}}", "\u2028</td>"[1:]]
)
def test_text_that_looks_like_a_program_is_kept_and_told_as_text(http, text):
    classes = [*CLASSES, {"name": text, "colour": "#000000", "key": "<"}]
    assert http.put("label-sets/structures", json={"classes": classes}).status_code == 200

    label(http, text, author=text)

    answer = http.get("labels")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [(told["label"], told["author"]) for told in answer.json()["labels"]] == [(text, text)]
    assert len(http.get("label-sets").json()["sets"][0]["classes"]) == 3


@pytest.mark.parametrize(("format", "type_"), [("csv", "text/csv"), ("cave", "text/csv")])
def test_a_table_is_downloaded_and_imported_again(http, format, type_):
    label(http)
    label(http, "axon", at=VOID, author="bob")

    download = http.get("labels/export", params={"set": "structures", "format": format})
    query = {"set": "again", "format": format, "author": "eve", "file": "mine.csv"}
    done = http.post("labels/import", params=query, content=download.content).json()

    assert download.headers["content-type"].startswith(type_)
    assert 'attachment; filename="structures.' in download.headers["content-disposition"]
    assert (done["imported"], done["skipped"], done["voids"]) == (2, [], 1)
    again = http.get("labels", params={"set": "again"}).json()["labels"]
    assert {(told["label"], told["author"], told["source"]) for told in again} == {
        ("mito", "ana", "import mine.csv"),
        ("axon", "bob", "import mine.csv"),
    }
    http.post("labels/undo", json={"author": "eve"})
    assert http.get("labels", params={"set": "again"}).json()["labels"] == []


def test_annotations_are_downloaded_as_a_zip_that_reads_as_written(http, tmp_path):
    label(http)

    download = http.get("labels/export", params={"set": "structures", "format": "precomputed"})
    zipfile.ZipFile(io.BytesIO(download.content)).extractall(tmp_path)

    (place,) = read_file(str(tmp_path / "structures"), "precomputed").places
    assert (place.position_nm_xyz, place.label, place.author) == (INSIDE, "mito", "ana")


def test_a_table_in_voxels_needs_to_say_of_which_edges(http):
    content = b'pt_position,cell_type\n"[32, 32, 14]",mito\n'
    query = {"set": "structures", "format": "cave", "author": "ana"}

    unsaid = http.post("labels/import", params=query, content=content)
    said = http.post("labels/import", params={**query, "resolution": "8,8,30"}, content=content)

    assert (unsaid.status_code, said.status_code) == (400, 200)
    assert "in which voxels" in error_of(unsaid)
    table = http.get("labels/export", params={"set": "structures"}).content
    assert read_content(table, "csv", "it").places[0].position_nm_xyz == (256.0, 256.0, 420.0)


@pytest.fixture(scope="module")
def guarded(served, tmp_path_factory):
    """A client of a server that asks for tokens."""
    folder = tmp_path_factory.mktemp("settings")
    authority = Authority(folder)
    grants = [Grant(s, frozenset({s}), digest_of(t), Limits()) for s, t in TOKENS.items()]
    (folder / "tokens").write_text("\n".join(map(line_of, grants)))
    settings = Settings(TlsFiles(*authority.issue(), None), folder / "tokens")
    context = ssl.create_default_context(cafile=authority.certificate)
    with start_server({"small": served}, ANY, ANY, settings) as server:
        base = f"https://{server.http_address}{BASE}"
        with httpx.Client(verify=context, base_url=base, timeout=30) as http:
            yield http


CHANGES = {
    "PUT": "label-sets/structures",
    "POST": "labels",
    "POST ": "labels/undo",
    "POST  ": "labels/import?set=s&author=a",
    "DELETE": "labels/1?author=a",
}


@pytest.mark.parametrize(("method", "path"), CHANGES.items())
@pytest.mark.parametrize(
    "token",
    [None, "vox_none", TOKENS["read"], TOKENS["admin"]],
    ids=["none", "unknown", "read", "admin"],  # not by tokens, which are other ones every time
)
def test_nothing_is_changed_without_a_token_to_write(guarded, method, path, token):
    headers = {"authorization": f"Bearer {token}"} if token else {}

    answer = guarded.request(method.strip(), path, headers=headers, json={"author": "ana"})

    assert answer.status_code == (403 if token in TOKENS.values() else 401)
    assert "token" in error_of(answer)


@pytest.mark.parametrize("path", ["label-sets", "labels", "labels/export?set=structures"])
def test_nothing_is_told_without_a_token_to_read(guarded, path):
    write = {"authorization": f"Bearer {TOKENS['write']}"}

    assert guarded.get(path).status_code == 401
    assert guarded.get(path, headers=write).status_code == 403


def test_who_may_write_labels_and_who_may_read_sees_it(guarded):
    write, read = ({"authorization": f"Bearer {TOKENS[s]}"} for s in ("write", "read"))
    body = {"classes": CLASSES}

    put = guarded.put("label-sets/guarded", json=body, headers=write)

    assert put.status_code == 200
    sets = guarded.get("label-sets", headers=read).json()["sets"]
    assert "guarded" in [known["name"] for known in sets]


def test_a_page_of_another_origin_cannot_label(http):
    body = {"set": "structures", "author": "eve", "labels": []}

    answer = http.post("labels", json=body, headers={"origin": "https://evil.example"})

    assert answer.status_code == 403
