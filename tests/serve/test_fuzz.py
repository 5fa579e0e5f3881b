"""A small run of tests/benchmarks/fuzz.py, at a server in this process."""

import logging

import pytest

from serve.server import start_server
from tests.benchmarks.fuzz import Attack, make_target

ANY = "127.0.0.1:0"


@pytest.mark.parametrize("seed", [0])
def test_random_requests_harm_nobody_and_learn_nothing(tmp_path, caplog, seed):
    with start_server({"small": make_target(tmp_path)}, ANY, ANY) as server:
        report = Attack(server.grpc_address, server.http_address, seed).run(400)

    assert report.requests == 400
    assert report.bugs == []
    assert report.leaks == []
    assert report.hung == []
    assert len([what for what in report.codes if what.endswith(" OK")]) > 5
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
