"""Asks a CRI server for its lists and statistics each second, as kubelet does: python -m hack.benchmark.poller SOCKET

A process of its own, so that the answers do not wait for whoever makes the load. When its input ends it writes how
long each question took, in milliseconds by the name of the rpc, as JSON.
"""

from __future__ import annotations

import select
import sys
from collections import defaultdict
from json import dumps

import grpc

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from hack.benchmark.timed import Times, timed

_PERIOD_SECONDS = 1.0


def poll(socket: str) -> Times:
    """Ask until standard input ends."""
    times: Times = defaultdict(list)
    with grpc.insecure_channel(f"unix://{socket}") as channel:
        stub = RuntimeServiceStub(channel)
        while not select.select([sys.stdin], [], [], _PERIOD_SECONDS)[0]:
            for name, request in (
                ("ListPodSandbox", pb.ListPodSandboxRequest()),
                ("ListContainers", pb.ListContainersRequest()),
                ("ListContainerStats", pb.ListContainerStatsRequest()),
            ):
                with timed(times, name):
                    getattr(stub, name)(request)
    return times


print(dumps(poll(sys.argv[1])))
