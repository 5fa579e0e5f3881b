"""Tests of serve/server.py: how calls in flight end, how the server does, and what it can bear."""

import os
import signal
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from embed.errors import UnavailableError
from serve.client import Client
from serve.jobs import Step
from serve.pb.voxkin.v1 import probe_pb2, probe_pb2_grpc, search_pb2, search_pb2_grpc
from serve.server import start_server
from serve.wire import codec
from tests.served import INSIDE, is_refused, make_served

ANY = "127.0.0.1:0"
Health = health_pb2.HealthCheckResponse

_LONG = 120
"""Seconds that nothing here takes, on however slow a machine."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


class Held:
    """A served atlas whose searches begin at once and end when they are let go."""

    def __init__(self, served):
        self._served = served
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.went_on = False

    def __getattr__(self, name):
        return getattr(self._served, name)

    def find(self, *arguments):
        self.begun.set()
        self.let_go.wait(_LONG)
        self.went_on = True
        return self._served.find(*arguments)


def ask_in_thread(server, answers):
    def ask():
        with Client(server.grpc_address) as client:
            answers.append(client.find_similar(position_nm_xyz=INSIDE, k=1))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def check_until_refused(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for _ in range(1000):
        stub.Check(health_pb2.HealthCheckRequest(), timeout=_LONG)
        time.sleep(0.02)


def test_stopping_lets_calls_in_flight_end_and_refuses_new_ones(served):
    held, answers = Held(served), []
    server = start_server({"small": held}, ANY, ANY)
    asking = ask_in_thread(server, answers)
    held.begun.wait(_LONG)

    stopping = threading.Thread(target=server.stop, args=(_LONG,))
    stopping.start()
    with grpc.insecure_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError):
        check_until_refused(channel)
    held.let_go.set()
    stopping.join()
    asking.join()

    assert answers[0].complete
    assert is_refused(server.grpc_address)
    assert is_refused(server.http_address)


def test_while_draining_health_says_so_and_new_calls_are_still_answered(served):
    server = start_server({"small": served}, ANY, ANY)
    with (
        grpc.insecure_channel(server.grpc_address) as channel,
        Client(server.grpc_address) as client,
    ):
        told = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        before = next(told).status
        stopping = threading.Thread(target=server.stop, args=(5, _LONG))
        stopping.start()
        after = next(told).status

        answered = client.find_similar(position_nm_xyz=INSIDE, k=1)
        draining = stopping.is_alive()
        told.cancel()
        server.stop(5)  # which does not wait for the drain
        stopping.join()

    assert (before, after) == (Health.SERVING, Health.NOT_SERVING)
    assert answered.complete
    assert draining
    assert is_refused(server.grpc_address)


def test_a_call_that_does_not_end_is_cut_off_after_the_grace(served):
    held = Held(served)
    server = start_server({"small": held}, ANY, ANY)
    failed = []

    def ask():
        with Client(server.grpc_address) as client, pytest.raises(UnavailableError) as failure:
            client.find_similar(position_nm_xyz=INSIDE)
        failed.append(failure)

    asking = threading.Thread(target=ask)
    asking.start()
    held.begun.wait(_LONG)

    server.stop(grace=0.2)
    went_on = held.went_on
    held.let_go.set()
    asking.join()

    assert not went_on
    assert failed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_gracefully_and_the_handlers_are_put_back(served, number):
    server = start_server({"small": served}, ANY, ANY)
    before = signal.getsignal(number)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()

    server.wait(grace=5)

    timer.join()
    assert is_refused(server.grpc_address)
    assert is_refused(server.http_address)
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait_for_the_calls_in_flight(served):
    held = Held(served)
    server = start_server({"small": held}, ANY, ANY)
    with grpc.insecure_channel(server.grpc_address) as channel:
        request = search_pb2.FindSimilarRequest(position_nm=codec.position(INSIDE))
        call = search_pb2_grpc.SearchServiceStub(channel).FindSimilar.future(request, timeout=_LONG)
        held.begun.wait(_LONG)
        timers = [threading.Timer(t, os.kill, (os.getpid(), signal.SIGINT)) for t in (0.3, 0.8)]
        for timer in timers:
            timer.start()

        server.wait(grace=_LONG)

        assert not held.went_on
        assert call.code() == grpc.StatusCode.UNAVAILABLE
    held.let_go.set()


def test_stopping_twice_is_stopping_once(served):
    server = start_server({"small": served}, ANY, ANY)

    server.stop(1)
    server.stop(1)

    assert is_refused(server.grpc_address)


def test_more_calls_than_the_server_takes_are_refused_at_once_and_the_rest_answered(served):
    held = Held(served)
    request = search_pb2.FindSimilarRequest(position_nm=codec.position(INSIDE))
    with start_server({"small": held}, ANY, ANY) as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            calls = [stub.FindSimilar.future(request, timeout=_LONG) for _ in range(80)]
            refused = {grpc.StatusCode.RESOURCE_EXHAUSTED}
            for _ in range(1000):
                if sum(call.done() for call in calls) == 16:
                    break
                time.sleep(0.02)
            held.let_go.set()
            codes = [call.code() for call in calls]

    assert set(codes) == {grpc.StatusCode.OK} | refused
    assert codes.count(grpc.StatusCode.OK) == 64


class Endless(Held):
    """A served atlas whose probes are applied for ever."""

    def __init__(self, served):
        super().__init__(served)
        self.ended = threading.Event()

    def apply_probe(self, name):
        self.begun.set()
        try:
            for done in range(10**9):
                time.sleep(0.01)
                yield Step(done, 10**9)
        finally:
            self.ended.set()


def test_a_job_whose_caller_hangs_up_ends_and_makes_room(served):
    endless = Endless(served)
    with start_server({"small": endless}, ANY, ANY) as server:
        with Client(server.grpc_address) as client:
            news = client.apply_probe("any")
            assert next(news) == Step(0, 10**9)
            news.close()

            assert endless.ended.wait(_LONG)


def test_a_job_that_takes_longer_than_its_caller_waits_ends_with_the_wait(served):
    endless = Endless(served)
    with start_server({"small": endless}, ANY, ANY) as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            request = probe_pb2.ApplyProbeRequest(name="any")
            for seconds in (0.5, 5, 50):  # on a slow machine a call may not have begun in time
                call = probe_pb2_grpc.ProbeServiceStub(channel).Apply(request, timeout=seconds)
                with pytest.raises(grpc.RpcError) as ended:
                    list(call)
                if endless.begun.is_set():
                    break

            assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert endless.ended.wait(_LONG)


def test_many_who_watch_health_hold_no_thread(served):
    with start_server({"small": served}, ANY, ANY) as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(30)]
            assert {next(watch).status for watch in watches} == {1}

            # Were they to hold the 16 threads there are, it would not be answered at all.
            with Client(server.grpc_address, timeout_s=_LONG) as client:
                described = client.describe()

            assert described.name == "small"
            for watch in watches:
                watch.cancel()
