import torch

from co2net.training.averaging import Average


def test_the_mean_follows_the_network_and_can_stand_in_for_it():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average = Average(network, 0.9)
    for step in range(1, 200):
        network.weight.data.fill_(1.0)
        average.update(step)
    assert abs(float(average.state["weight"]) - 1) < 1e-3
    network.weight.data.fill_(5.0)
    with average.in_place():
        assert float(network.weight) < 1.01
    assert float(network.weight) == 5
    average.keep()
    assert float(network.weight) < 1.01


def test_a_stored_mean_goes_on():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    average = Average(network, 0.5)
    network(torch.rand(4, 2))
    average.update(3)
    other = Average(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)), 0.5)
    other.load(average.state)
    assert all(torch.equal(average.state[name], other.state[name]) for name in average.state)
