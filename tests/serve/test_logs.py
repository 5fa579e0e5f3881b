"""Tests of serve/gate/logs.py: what is logged of a call, and what never is."""

import io
import json
import logging

import httpx
import pytest

from embed.errors import RequestError
from serve.client import Client
from serve.gate.logs import JsonFormatter, calls, log_as_json
from serve.server import start_server
from tests.served import INSIDE, make_served

ANY = "127.0.0.1:0"


@pytest.fixture
def stream():
    """What is logged, as after `log_as_json`; the logging of other tests is put back."""
    root, loggers = logging.getLogger(), [logging.getLogger("serve"), calls]
    handlers, levels = root.handlers[:], [(li, li.level) for li in (root, *loggers)]
    for handler in handlers:
        root.removeHandler(handler)  # or they would be closed
    stream = io.StringIO()
    log_as_json(stream)
    yield stream
    root.handlers[:] = handlers
    for logger, level in levels:
        logger.setLevel(level)


def test_each_call_is_a_line_of_json_without_what_was_asked(stream, tmp_path):
    with start_server({"small": make_served(tmp_path / "small")}, ANY, ANY) as server:
        with Client(server.grpc_address) as client:
            client.find_similar(position_nm_xyz=INSIDE, k=3)
            with pytest.raises(RequestError):
                client.find_similar(position_nm_xyz=INSIDE, k=0)
        place = dict(zip("xyz", INSIDE, strict=True))
        httpx.get(f"http://{server.http_address}/api/atlases/small/similar", params=place)
        httpx.get(f"http://{server.http_address}/secret/path")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    noted = [li for li in lines if li["message"] == "call"]
    assert [(li["protocol"], li["method"], li["status"]) for li in noted] == [
        ("grpc", "/voxkin.v1.SearchService/FindSimilar", "OK"),
        ("grpc", "/voxkin.v1.SearchService/FindSimilar", "INVALID_ARGUMENT"),
        ("http", "GET /api/atlases/{name}/similar", "200"),
        ("http", "GET page", "404"),
    ]
    assert all(li["ms"] >= 0 and li["time"].endswith("+00:00") for li in noted)
    assert "260" not in "".join(json.dumps(li["method"]) for li in noted)
    assert "secret" not in stream.getvalue()


def test_an_exception_stays_on_its_line():
    try:
        raise KeyError("two\nlines")
    except KeyError as error:
        record = logging.makeLogRecord({"msg": "failed", "levelno": logging.ERROR})
        record.exc_info = (KeyError, error, error.__traceback__)

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert "KeyError" in json.loads(line)["exception"]
