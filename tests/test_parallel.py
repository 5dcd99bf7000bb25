"Generated from nbs/09_parallel.ipynb: change the notebook, then `make export`."
from torch import nn
from types import SimpleNamespace
from vad_ssl.files import TrainingError
from vad_ssl.losses import dice_loss
import pytest
import torch

from vad_ssl.parallel import Shared, _own


def test_spread_rows_give_the_loss_of_the_whole_batch_and_the_sum_of_gradients_is_its_gradient():
    from types import SimpleNamespace

    from vad_ssl.losses import dice_loss

    torch.manual_seed(0)
    net = nn.Conv3d(1, 1, 1)
    x = torch.randn(4, 1, 2, 3, 3)
    target = (torch.rand(4, 1, 2, 3, 3) > 0.5).float()


    def gradient(model):
        loss = dice_loss(model(x), target)
        return [loss.detach(), *torch.autograd.grad(loss, list(net.parameters()))]


    whole, answers = gradient(net), net(x).detach()
    shares = [
        gradient(
            Shared(
                net, SimpleNamespace(process_index=rank, num_processes=2, gather=lambda rows: answers)
            )
        )
        for rank in (0, 1)
    ]
    for (one, two), all in zip(zip(*shares), whole):
        torch.testing.assert_close(one + two if one.ndim else one, all)
    assert (
        abs(whole[0] - (dice_loss(net(x[:2]), target[:2]) + dice_loss(net(x[2:]), target[2:])) / 2)
        > 1e-5
    )


def test_rows_that_cannot_be_shared_are_refused():
    assert _own(torch.arange(6), 1, 3).tolist() == [2, 3] and _own(None, 1, 3) is None
    with pytest.raises(TrainingError, match="5 clips cannot be shared by 2 processes"):
        _own(torch.zeros(5, 1), 0, 2)
