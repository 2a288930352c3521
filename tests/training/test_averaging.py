import torch

from co2net.training.averaging import running_mean


def test_the_mean_follows_the_network():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    mean = running_mean(network, 0.9)
    network.weight.data.fill_(1.0)
    mean.update_parameters(network)
    assert abs(float(mean.module.weight) - 10 / 11) < 1e-6  # early on the start is soon forgotten, but not at once
    for _ in range(200):
        mean.update_parameters(network)
    assert abs(float(mean.module.weight) - 1) < 1e-3


def test_a_stored_mean_goes_on():
    def make():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))

    network = make()
    mean, other = running_mean(network, 0.5), running_mean(make(), 0.5)
    for again in (False, True):
        network(torch.rand(4, 2))
        mean.update_parameters(network)
        if again:
            other.update_parameters(network)
        other.load_state_dict(mean.state_dict())
    own, its = mean.state_dict(), other.state_dict()
    assert all(torch.equal(own[name], its[name]) for name in own) and int(own["module.1.num_batches_tracked"]) == 2
