"""Tests of serve/gate/http_admission.py: the page where the server asks for a token."""

import json
import ssl
import threading

import httpx
import pytest

from serve.gate.credentials import TlsFiles
from serve.gate.quota import Limits
from serve.gate.tokens import Grant, digest_of, line_of, make_token
from serve.gateway import PAGE
from serve.server import Settings, start_server
from tests.certificates import Authority
from tests.served import INSIDE, make_served

ANY = "127.0.0.1:0"
HERE = dict(zip("xyz", INSIDE, strict=True))
SECRET, ADMIN, FEW = make_token(), make_token(), make_token()
DATA = ["/api/atlases", "/api/atlases/small/thumb.png", "/metrics", "/api/openapi.json", "/nothing"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("settings")
    authority = Authority(folder)
    grants = (
        Grant("lab", frozenset({"read"}), digest_of(SECRET), Limits()),
        Grant("ops", frozenset({"admin"}), digest_of(ADMIN), Limits()),
        Grant("few", frozenset({"read"}), digest_of(FEW), Limits(calls=0.01)),
    )
    (folder / "tokens").write_text("\n".join(map(line_of, grants)))
    tls = TlsFiles(*authority.issue(), None)
    return Settings(tls, folder / "tokens", ("em.lab.org", "2001:db8::1")), authority


@pytest.fixture(scope="module")
def server(served, settings):
    with start_server({"small": served}, ANY, ANY, settings[0]) as server:
        yield server


@pytest.fixture
def http(server, settings):
    context = ssl.create_default_context(cafile=settings[1].certificate)
    base = f"https://{server.http_address}"
    with httpx.Client(verify=context, base_url=base, timeout=30) as http:
        yield http


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    "headers", [{}, bearer(f"vox_{'b' * 43}"), {"cookie": "voxkin-token=x"}, {"cookie": ";=;;"}]
)
def test_nothing_of_an_atlas_is_told_without_a_token(http, path, headers):
    answer = http.get(path, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "token" in answer.json()["error"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["//api/atlases", "/api/../api/atlases", "/%61pi/atlases", "/API"])
def test_another_spelling_of_a_path_opens_no_door(http, path):
    assert http.get(path).status_code == 401


def test_a_header_lets_in(http, served):
    answer = http.get("/api/atlases/small/similar", params=HERE, headers=bearer(SECRET))

    assert len(answer.json()["hits"]) == 10


def test_the_page_is_shown_to_everybody_and_so_is_health(http):
    paths = ["/", "/healthz", *(f"/{file.name}" for file in PAGE.iterdir())]

    assert {http.get(path).status_code for path in paths} == {200}


def test_the_page_shows_its_token_once_and_its_pictures_are_shown(http):
    shown = http.post("/api/session", json={"token": SECRET})

    kept = shown.headers["set-cookie"].lower()
    assert shown.status_code == 200
    assert all(word in kept for word in ("httponly", "secure", "samesite=strict", "path=/"))
    assert http.get("/api/atlases").status_code == 200
    assert http.get("/api/atlases/small/thumb.png", params=HERE).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [({"token": "x"}, 401), ({}, 400), ({"token": "x" * 1000}, 400), ({"token": ADMIN}, 403)],
)
def test_a_token_that_does_not_let_in_is_not_kept(http, body, status):
    answer = http.post("/api/session", json=body)

    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert "set-cookie" not in answer.headers


def test_another_site_cannot_use_the_cookie(http):
    http.post("/api/session", json={"token": SECRET})

    def status(origin):
        return http.get("/api/atlases", headers={"origin": origin}).status_code

    assert status(str(http.base_url).rstrip("/")) == 200
    assert status("https://evil.example") == 403
    assert status(str(http.base_url).rstrip("/").replace("https", "http")) == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [("em.lab.org", 200), ("EM.lab.org:8061", 200), ("[2001:db8::1]", 200), ("evil.example", 400)],
)
def test_the_page_answers_to_the_names_it_was_given(http, host, status):
    answer = http.get("/api/atlases", headers={"host": host} | bearer(SECRET))

    assert answer.status_code == status
    assert status == 200 or "em.lab.org" in answer.json()["error"]


def test_only_an_admin_reloads(http):
    refused = http.post("/api/reload", headers=bearer(SECRET))
    done = http.post("/api/reload", headers=bearer(ADMIN))

    assert refused.status_code == 403
    assert "needs admin" in refused.json()["error"]
    assert done.json()["atlases"]["small"]["outcome"] == "unchanged"
    assert http.get("/api/atlases", headers=bearer(ADMIN)).status_code == 403


def test_a_used_up_quota_says_when_to_come_back(http):
    first, second = (http.get("/api/atlases", headers=bearer(FEW)) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 429)
    assert 90 <= int(second.headers["retry-after"]) <= 100


def test_a_server_without_tokens_asks_for_none(served):
    with start_server({"small": served}, ANY, ANY) as server:
        base = f"http://{server.http_address}"
        assert httpx.get(f"{base}/api/atlases").status_code == 200
        assert httpx.post(f"{base}/api/session", json={"token": "x"}).status_code == 404
        assert httpx.post(f"{base}/api/reload").status_code == 200
        evil = {"origin": "https://evil.example"}
        assert httpx.post(f"{base}/api/reload", headers=evil).status_code == 403


def test_health_says_stopping_while_calls_are_still_answered(served):
    server = start_server({"small": served}, ANY, ANY)
    stopping = threading.Thread(target=server.stop, args=(5, 1.5))
    with httpx.Client(base_url=f"http://{server.http_address}") as http:
        assert http.get("/healthz").json() == {"status": "serving"}
        stopping.start()
        while (answer := http.get("/healthz")).status_code == 200:
            pass

        assert answer.status_code == 503
        assert json.loads(answer.text) == {"status": "stopping"}
        assert http.get("/api/atlases").status_code == 200
    stopping.join()
