"""Gradients of two processes, averaged while the backward pass runs."""

import multiprocessing
import os
import socket

import pytest
import torch
import torch.distributed
from torch import nn

from internvid.viclip.ranks import GradientMean, Ranks


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(8, 8) for _ in range(6)]
    model = nn.Sequential(*layers)
    model.unused = nn.Parameter(torch.zeros(3))  # is the first parameter, and gets no gradient
    return model


def inputs(rank: int, slice_: int) -> torch.Tensor:
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(10 * rank + slice_))


def _rank(rank: int, port: int, results) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    model = network()
    mean = GradientMean(list(model.parameters()), Ranks.current(), bytes_per_bucket=300)
    early = []  # buckets sent before the backward pass ended: by the step before, and by this one
    for _ in range(2):  # a second step starts afresh
        model.zero_grad()
        model(inputs(rank, 0)).square().sum().backward()  # a slice before the last one
        before = mean.started_early
        with mean.during():
            model(inputs(rank, 1)).square().sum().backward()
        early.append((before, mean.started_early))
    gradients = {
        name: parameter.grad.tolist() for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    results.put((rank, gradients, len(mean.buckets), early))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_have_the_mean_of_all_slices_and_all_but_the_last_buckets_leave_during_the_backward_pass():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    processes = [spawn.Process(target=_rank, args=(rank, port, results)) for rank in range(2)]
    for process in processes:
        process.start()
    reports = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0

    model = network()
    sum(model(inputs(rank, slice_)).square().sum() for rank in range(2) for slice_ in range(2)).backward()
    expected = {name: p.grad / 2 for name, p in model.named_parameters() if p.grad is not None}
    for _, gradients, buckets, early in reports:
        assert gradients.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(torch.tensor(gradients[name]), gradient)
        # The last bucket holds the unused parameter too, so it is complete at the end only.
        assert (buckets, early) == (6, [(0, 5), (5, 5)])


def test_one_process_averages_nothing():
    model = network()
    mean = GradientMean(list(model.parameters()), Ranks(0, 1), bytes_per_bucket=300)
    with mean.during():
        model(inputs(0, 0)).sum().backward()
    assert mean.buckets == []
