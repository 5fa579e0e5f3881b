"""What the page and its JSON must never do, checked for every route there is."""

import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from serve.gateway import PAGE
from serve.server import start_server
from tests.projections import write_projection
from tests.served import make_served

METHODS = ("get", "post", "put", "delete", "patch")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    served = make_served(tmp_path_factory.mktemp("served") / "small")
    write_projection(served.atlas)
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        yield server.http_address


@pytest.fixture(scope="module")
def http(address):
    with httpx.Client(base_url=f"http://{address}", timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def routes(http):
    """(method, path, operation) of every route, and the schemas of their bodies."""
    described = http.get("/api/openapi.json").json()
    operations = [
        (method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    assert len(operations) > 15
    return operations, described["components"]["schemas"]


@pytest.fixture
def canary():
    """A web server that nobody should ask, and what it was asked for."""
    asked = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_POST = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Canary)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/volume", asked
    server.shutdown()
    thread.join()
    server.server_close()


def _filled(path, text):
    path = path.replace("{name}", "small")
    return re.sub(r"\{[^}]+\}", urllib.parse.quote(text, safe=""), path)


def _body(operation, schemas, text):
    """A body that says a text wherever it may say one; None where there is no body."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return None if schema is None else _said(schema, schemas, text)


def _said(schema, schemas, text):
    if "$ref" in schema:
        return _said(schemas[schema["$ref"].rpartition("/")[2]], schemas, text)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _said(schema[several][0], schemas, text)
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {k: _said(s, schemas, text) for k, s in schema.get("properties", {}).items()}
    if kind == "array":
        return [_said(schema["items"], schemas, text)]
    return {"integer": 1, "number": 300.0, "boolean": True}.get(kind, text)


def _asked(http, route, schemas, text, **kwargs):
    method, path, operation = route
    query = {
        one["name"]: 300 if one["schema"].get("type") in ("number", "integer") else text
        for one in operation.get("parameters", [])
        if one["in"] == "query"
    }
    body = _body(operation, schemas, text)
    sent = {"json": body} if body is not None else {}
    return http.request(method, _filled(path, text), params=query, **sent, **kwargs)


def test_every_route_refuses_pages_of_other_origins(http, routes):
    operations, schemas = routes
    told = {
        (route[0], route[1]): _asked(http, route, schemas, "x", headers={"origin": "https://evil"})
        for route in operations
    }

    assert {answer.status_code for answer in told.values()} == {403}


def test_every_route_refuses_other_names_for_this_machine(http, routes):
    operations, schemas = routes
    told = [_asked(http, route, schemas, "x", headers={"host": "evil.org"}) for route in operations]

    assert {answer.status_code for answer in told} == {400}


@pytest.mark.parametrize(
    "scheme", ["url", "precomputed://url", "url/|zarr3:", "file:///etc/passwd"]
)
def test_no_text_of_a_browser_is_ever_opened_as_a_volume(http, routes, canary, scheme):
    operations, schemas = routes
    url, asked = canary
    text = scheme.replace("url", url)

    answers = {
        f"{route[0]} {route[1]}": _asked(http, route, schemas, text)
        for route in operations
        # It starts a process that computes for a minute; its one parameter is a number.
        if not (route[0] == "post" and route[1].endswith("/projection"))
    }

    assert asked == []
    assert {k: a.text for k, a in answers.items() if a.status_code >= 500} == {}
    assert not any("root:" in answer.text for answer in answers.values())


def test_no_parameter_is_a_path_or_an_address(routes):
    operations, schemas = routes
    names = {one["name"] for _, _, op in operations for one in op.get("parameters", [])}
    names |= {name for schema in schemas.values() for name in schema.get("properties", {})}

    assert not names & {"path", "url", "uri", "source", "volume", "spec", "kvstore", "directory"}


@pytest.mark.parametrize("file", sorted(PAGE.iterdir()), ids=lambda f: f.name)
def test_the_page_never_makes_text_into_code_or_markup(file: Path):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|"
        r"javascript:|createContextualFragment|DOMParser| on[a-z]+=\"|<style|style=\""
    )

    assert not re.search(forbidden, file.read_text())
