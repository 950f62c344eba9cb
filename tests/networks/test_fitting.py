"""The training loop: a keyed order, a rate that rises and falls, an average that follows, a checkpoint that resumes."""

import pytest
import torch
from torch import nn

from ddoq_core.networks import fitting
from ddoq_core.networks.fitting import Recipe, train_network
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Workspace
from ddoq_core.store.checkpoints import Checkpoint

X = torch.linspace(-1, 1, 20)[:, None]


def _fit(folder, *, epochs=5, ema=0.0, seed=0, rate=0.1, rows_seen=None):
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)

    def loss_of(epoch):
        def loss(rows):
            if rows_seen is not None:
                rows_seen.append((epoch, rows))
            return (network(X[rows]) - (2 * X[rows] + 1)).square().mean()

        return loss

    folder.mkdir(exist_ok=True)
    recipe = Recipe(batch=6, rate=rate, warm_up=0.1, decay=0.0, ema=ema)
    train_network(Workspace(folder), network, loss_of, len(X), recipe, epochs=epochs, name="line", key=(seed, "test"))
    return network.state_dict()


def test_it_finds_the_line(tmp_path):
    found = _fit(tmp_path, epochs=60)
    assert abs(found["weight"].item() - 2) < 0.02 and abs(found["bias"].item() - 1) < 0.02


def test_every_row_is_seen_once_an_epoch_in_an_order_that_follows_the_key(tmp_path):
    seen, other = [], []
    _fit(tmp_path, rows_seen=seen)
    _fit(tmp_path, rows_seen=other, seed=1)
    orders = [torch.cat([rows for e, rows in seen if e == epoch]) for epoch in range(5)]
    assert all(sorted(order.tolist()) == list(range(20)) for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], torch.cat([rows for e, rows in other if e == 0]))


def test_the_rate_rises_then_falls_to_zero():
    rates = [fitting._rate(i / 100, 0.2) for i in range(101)]
    assert rates[0] == 0 and max(rates) == rates[20] == 1 and rates[100] == pytest.approx(0)
    assert rates[:21] == sorted(rates[:21]) and rates[20:] == sorted(rates[20:], reverse=True)


def test_the_average_lags_behind_the_weights(tmp_path):
    plain, averaged = _fit(tmp_path, epochs=3), _fit(tmp_path, epochs=3, ema=0.9)
    assert 0 < averaged["weight"].item() < plain["weight"].item()


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_it_resumes_from_a_checkpoint_with_the_same_numbers(tmp_path, monkeypatch, ema):
    monkeypatch.setattr(checkpoints, "EVERY", 0)
    whole = _fit(tmp_path / "whole", ema=ema)
    save = Checkpoint.write

    def save_then_die(self, done):
        save(self, done)
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "write", save_then_die)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "cut", ema=ema)
    monkeypatch.setattr(Checkpoint, "write", save)
    seen = []
    resumed = _fit(tmp_path / "cut", ema=ema, rows_seen=seen)
    assert min(epoch for epoch, _ in seen) == 2
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
