"Generated from nbs/23_capsule.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
import pytest
import torch

from vad_ssl.capsule import (
    ConvCapsules,
    dynamic_routing,
    e_step,
    em_routing,
    m_step,
    pooled,
    squash,
    standardise,
    vote,
)


@pytest.fixture
def setup_1():
    votes = torch.tensor(
        [[[[1.0, 0.0], [0.0, 2.0]], [[1.2, 0.0], [2.0, -1.0]], [[-1.0, 1.0], [-1.0, -1.0]]]]
    )  # (n, i, j, p)
    present = torch.ones(1, 3)
    return SimpleNamespace(votes=votes, present=present)


@pytest.fixture
def setup_2(setup_1):
    votes = setup_1.votes
    def m_step_slow(votes, r, a):
        "One place: votes (i, j, p), r (i, j), a (i,)."
        i, j, p = votes.shape
        mu, var, R = torch.zeros(j, p), torch.zeros(j, p), torch.zeros(j)
        for k in range(j):
            R[k] = sum(r[c, k] * a[c] for c in range(i))
            for h in range(p):
                mu[k, h] = sum(r[c, k] * a[c] * votes[c, k, h] for c in range(i)) / R[k]
                square = [(votes[c, k, h] - mu[k, h]) ** 2 for c in range(i)]
                var[k, h] = sum(r[c, k] * a[c] * square[c] for c in range(i)) / R[k]
        return mu, var, R
    return SimpleNamespace(m_step_slow=m_step_slow)


def test_the_first_m_step_gives_the_numbers_worked_by_hand(setup_1):
    votes = setup_1.votes
    present = setup_1.present
    mu, var, R, dist = m_step(votes, torch.full((1, 3, 2), 0.5).log(), present)
    torch.testing.assert_close(mu[0, 0], torch.tensor([0.4, 1 / 3]))
    torch.testing.assert_close(var[0, 0], torch.tensor([2.96 / 3, 2 / 9]) + 1e-4)
    torch.testing.assert_close(R, torch.tensor([[1.5, 1.5]]))
    torch.testing.assert_close(dist[0, :, 0, 0], torch.tensor([0.36, 0.64, 1.96]))


def test_the_batched_m_step_equals_the_loops(setup_2):
    m_step_slow = setup_2.m_step_slow
    g = torch.Generator().manual_seed(0)
    v, a = torch.randn(5, 4, 3, 6, generator=g), torch.rand(5, 4, generator=g) * 0.9 + 0.1
    log_r = torch.randn(5, 4, 3, generator=g).log_softmax(2)
    mu, var, R, dist = m_step(v, log_r, a)
    assert [tuple(x.shape) for x in (mu, var, R, dist)] == [(5, 3, 6), (5, 3, 6), (5, 3), (5, 4, 3, 6)]
    for n in range(5):
        for got, slow in zip((mu[n], var[n] - 1e-4, R[n]), m_step_slow(v[n], log_r[n].exp(), a[n])):
            torch.testing.assert_close(got, slow, atol=2e-3, rtol=2e-3)


def test_assignments_sum_to_one_over_parents_and_follow_the_nearer_gaussian():
    means = torch.tensor([0.0, 4.0])  # two parents on a line
    v = torch.tensor([0.0, 2.0, 4.0])  # three children
    dist = (v[:, None] - means).square()[None, :, :, None]
    r = e_step(dist, torch.ones(1, 2, 1), torch.zeros(1, 2), 1.0).exp()
    torch.testing.assert_close(r.sum(2), torch.ones(1, 3))
    first = torch.tensor([8.0, 0.0, -8.0]).sigmoid()  # 4**2 / 2 nats at either end
    torch.testing.assert_close(r[0, :, 0], first)


def test_costs_of_1_2_and_3_become_plus_zero_and_minus_the_square_root_of_three_halves():
    hand = torch.tensor([[1.5**0.5, 0.0, -(1.5**0.5)]])
    torch.testing.assert_close(standardise(torch.tensor([[1.0, 2.0, 3.0]])), hand)
    assert standardise(torch.full((2, 4), 7.0)).tolist() == [[0.0] * 4] * 2


@pytest.fixture
def setup_3():
    beta_u, beta_a = torch.zeros(2, 1), torch.zeros(2)
    return SimpleNamespace(beta_u=beta_u, beta_a=beta_a)


def test_children_that_agree_end_up_with_the_same_parent_and_the_third_goes_elsewhere(setup_1, setup_3):
    votes = setup_1.votes
    present = setup_1.present
    beta_u = setup_3.beta_u
    beta_a = setup_3.beta_a
    poses, act, r = em_routing(votes, present, beta_u, beta_a, iters=5, tau=1)
    assert (tuple(poses.shape), tuple(act.shape), tuple(r.shape)) == ((1, 2, 2), (1, 2), (1, 3, 2))
    assert r[0, 0, 0] > 0.9 and r[0, 1, 0] > 0.9 and r[0, 2, 1] > 0.9
    torch.testing.assert_close(poses[0, 0], torch.tensor([1.1, 0.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(r.sum(2), torch.ones(1, 3))


def test_moving_every_vote_moves_the_poses_and_changes_nothing_else():
    g = torch.Generator().manual_seed(0)
    v, a = torch.randn(6, 5, 3, 8, generator=g), torch.rand(6, 5, generator=g)
    before, after = (em_routing(x, a, torch.zeros(3, 1), torch.zeros(3)) for x in (v, v + 3))
    torch.testing.assert_close(after[0], before[0] + 3, atol=1e-4, rtol=1e-4)
    for k in (1, 2):
        torch.testing.assert_close(after[k], before[k], atol=1e-4, rtol=1e-3)


def test_the_order_of_the_children_does_not_matter_and_an_absent_child_does_not_count():
    g = torch.Generator().manual_seed(1)
    v, a, order = torch.randn(6, 5, 3, 8, generator=g), torch.rand(6, 5, generator=g), [3, 1, 4, 0, 2]
    betas = torch.zeros(3, 1), torch.zeros(3)
    poses, act, _ = em_routing(v, a, *betas)
    shuffled = em_routing(v[:, order], a[:, order], *betas)
    torch.testing.assert_close(shuffled[0], poses, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shuffled[1], act, atol=1e-5, rtol=1e-4)
    a[:, 4] = 0
    moved = v.clone()
    moved[:, 4] += 1
    got, want = (em_routing(x, a, *betas)[0] for x in (moved, v))
    torch.testing.assert_close(got, want, atol=5e-3, rtol=1e-2)


def test_nothing_is_nan_for_empty_full_and_constant_inputs_in_float32_and_bfloat16():
    for dtype in (torch.float32, torch.bfloat16):
        for value in (0.0, 1.0, 100.0):
            for presence in (0.0, 0.5, 1.0):
                v = torch.full((2, 4, 3, 16), value, dtype=dtype, requires_grad=True)
                a = torch.full((2, 4), presence, dtype=dtype, requires_grad=True)
                poses, act, r = em_routing(v, a, torch.zeros(3, 16), torch.zeros(3))
                assert poses.dtype == act.dtype == dtype
                (poses.sum() + act.sum()).backward()
                for x in (poses, act, r, v.grad, a.grad):
                    assert x.isfinite().all()


def test_gradients_reach_votes_activations_and_both_betas():
    g = torch.Generator().manual_seed(0)
    leaves = [torch.randn(4, 5, 3, 16, generator=g), torch.rand(4, 5, generator=g)]
    leaves += [torch.zeros(3, 16), torch.zeros(3)]
    for x in leaves:
        x.requires_grad_()
    (em_routing(*leaves)[1] * torch.tensor([1.0, -1.0, 0.5])).sum().backward()
    for x in leaves:
        assert x.grad.abs().max() > 1e-4


def test_a_vector_of_length_1_is_squashed_to_one_half_and_of_length_3_to_nine_tenths():
    squashed = squash(torch.tensor([[0.0, 1.0], [3.0, 0.0]]))
    torch.testing.assert_close(squashed, torch.tensor([[0.0, 0.5], [0.9, 0.0]]))
    assert squash(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_dynamic_routing_on_the_three_children_gives_the_pose_worked_by_hand_after_one_round(setup_1):
    votes = setup_1.votes
    poses, act, r = dynamic_routing(votes, iters=1)
    torch.testing.assert_close(r, torch.full((1, 3, 2), 0.5))
    total = torch.tensor([0.6, 0.5])  # half of the sum of the votes for A
    hand = total * total.norm() / (1 + total.norm() ** 2)
    torch.testing.assert_close(poses[0, 0], hand, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(act, poses.norm(dim=2), atol=1e-3, rtol=1e-3)


def test_dynamic_routing_prefers_the_parent_on_which_children_agree_and_survives_zeros():
    agree = torch.tensor([[2.0, 0.0]] * 3)
    differ = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]])  # the same lengths
    poses, act, r = dynamic_routing(torch.stack([agree, differ], 1)[None], iters=4)
    assert (r[0, :, 0] > 0.6).all() and act[0, 0] > 0.9 > act[0, 1]
    zero = torch.zeros(1, 3, 2, 4, requires_grad=True)
    dynamic_routing(zero)[1].sum().backward()
    assert zero.grad.isfinite().all()


def test_pooling_is_the_mean_vote_of_the_children_that_are_there():
    three = torch.tensor([[[[1.0, 2.0]], [[3.0, 6.0]], [[9.0, 9.0]]]])  # one parent, two pose entries
    present_, weight = torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[1.0, -0.5]])
    mean, reading = pooled(three, present_, weight, torch.zeros(1))
    torch.testing.assert_close(mean, torch.tensor([[[2.0, 4.0]]]), atol=1e-3, rtol=0)
    torch.testing.assert_close(reading, torch.tensor([[0.5]]), atol=1e-3, rtol=0)  # sigmoid(2 - 4 / 2)


def test_votes_are_matrix_products():
    g = torch.Generator().manual_seed(0)
    poses, weight = torch.randn(3, 2, 4, 4, generator=g), torch.randn(2, 5, 4, 4, generator=g)
    votes_ = vote(poses, weight)
    assert tuple(votes_.shape) == (3, 2, 5, 16)
    torch.testing.assert_close(votes_[2, 1, 4].view(4, 4), poses[2, 1] @ weight[1, 4])


@pytest.fixture
def setup_4():
    def layer(seed=0, **options):
        "Four types to three; the same weights for the same seed."
        torch.manual_seed(seed)
        return ConvCapsules(4, 3, **options)


    def maps(h=5, w=2, b=2):
        "Poses and activations of four capsule types on a small map."
        g = torch.Generator().manual_seed(0)
        return torch.randn(b, 64, h, w, generator=g), torch.rand(b, 4, h, w, generator=g)
    return SimpleNamespace(layer=layer, maps=maps)


def test_the_map_of_capsules_equals_repeating_weights_and_poses_at_each_place(setup_4):
    layer = setup_4.layer
    maps = setup_4.maps
    caps, (poses, act) = layer(), maps()
    got_poses, got_act, share = caps(poses, act, with_routing=True)
    assert (tuple(got_poses.shape), tuple(got_act.shape)) == ((2, 48, 5, 2), (2, 3, 5, 2))
    assert tuple(share.shape) == (2, 4, 3, 5, 2)
    for y in range(5):
        for x in range(2):
            children = poses[:, :, y, x].view(2, 4, 1, 4, 4).repeat(1, 1, 3, 1, 1)
            v = (children @ caps.weight[None].repeat(2, 1, 1, 1, 1)).flatten(3)
            mu, a, r = em_routing(v, act[:, :, y, x], caps.beta_u, caps.beta_a)
            torch.testing.assert_close(got_poses[:, :, y, x], mu.flatten(1))
            torch.testing.assert_close(got_act[:, :, y, x], a)
            torch.testing.assert_close(share[..., y, x], r)


def test_assignments_are_given_on_request_and_only_where_something_is_routed(setup_4):
    layer = setup_4.layer
    maps = setup_4.maps
    for routing in ("em", "dynamic", "pooled"):
        caps = layer(routing=routing)
        plain, (*told, share) = caps(*maps()), caps(*maps(), with_routing=True)
        for x, y in zip(plain, told):
            torch.testing.assert_close(x, y)
        if routing == "pooled":
            assert share is None
        else:
            torch.testing.assert_close(share.sum(2), torch.ones(2, 4, 5, 2))


def test_the_paper_s_layer_from_32_to_24_types_has_12696_parameters_and_takes_any_map():
    caps = ConvCapsules(32, 24)
    assert sum(p.numel() for p in caps.parameters()) == 32 * 24 * 16 + 24 * 16 + 24 == 12_696
    for h, w in [(1, 1), (3, 7)]:
        poses, act = caps(torch.randn(1, 512, h, w), torch.rand(1, 32, h, w))
        assert (tuple(poses.shape), tuple(act.shape)) == ((1, 384, h, w), (1, 24, h, w))


def test_an_unknown_routing_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'em', 'dynamic' or 'pooled'"):
        ConvCapsules(4, 3, routing="sinkhorn")


def test_taking_turns_changes_neither_the_results_nor_the_gradients(setup_4):
    layer = setup_4.layer
    maps = setup_4.maps
    for routing in ("em", "dynamic"):
        results = []
        for at_once in (1, 1000, 2**20):
            caps, (poses, act) = layer(routing=routing, at_once=at_once), maps()
            out = caps(poses.requires_grad_(), act.requires_grad_())
            (out[0].square().sum() + out[1].sum()).backward()
            results.append([*out, poses.grad, act.grad, caps.weight.grad])
        for other in results[1:]:
            for x, y in zip(results[0], other):
                torch.testing.assert_close(x, y, atol=1e-4, rtol=1e-4)


@pytest.fixture
def setup_5(setup_1):
    votes = setup_1.votes
    present = setup_1.present
    even = torch.full((1, 3, 2), 0.5)
    half_there = torch.tensor([[1.0, 1.0, 0.5]])


    def one_round(votes, r, a, tau=1.0):
        "A round from the chapter's own steps."
        mu, var, _, dist = m_step(votes, r.log(), a)
        return mu, e_step(dist, var, torch.zeros(mu.shape[:2]), tau).exp()


    round_exercise = Exercise(
        Case(
            "the mean of A by hand",
            lambda f: f(votes, even, present)[0][0, 0],
            [0.4, 1 / 3],
            "a parent's mean is weighted by the shares, and its weights sum to 1 over the children",
        ),
        Case(
            "a child that is half there",
            lambda f: f(votes, even, half_there)[0][0, 0],
            [0.68, 0.2],
            "it counts half: the weights are r times a; (1 + 1.2 - 0.5) / 2.5 = 0.68",
        ),
        Case(
            "the shares of each child together",
            lambda f: f(votes, even, present)[1].sum(2),
            torch.ones(1, 3),
            "each child divides itself among the parents: the softmax runs over parents, axis 2",
        ),
        Case(
            "who goes where",
            lambda f: f(votes, even, present)[1],
            one_round(votes, even, present)[1],
            "besides the misfit, (v - mu)^2 / (2 var), a Gaussian pays for its width, log(var) / 2",
        ),
        Case(
            "the same at temperature 2",
            lambda f: f(votes, even, present, 2.0)[1],
            one_round(votes, even, present, 2.0)[1],
            "the temperature divides the log-likelihood",
        ),
    )
    return SimpleNamespace(even=even, half_there=half_there, one_round=one_round, round_exercise=round_exercise)


def test_the_check_of_a_round_of_em_passes_it_and_explains_five_mistakes(setup_1, setup_5):
    votes = setup_1.votes
    one_round = setup_5.one_round
    round_exercise = setup_5.round_exercise
    def round_with(share=True, presence=True, over=2, width=True, tempered=True):
        "A round of EM with a choice of mistakes."

        def f(votes, r, a, tau=1.0):
            w = (r * a[..., None] if presence else r)[..., None]
            w = w / w.sum(1, keepdim=True) if share else w
            mu = (w * votes).sum(1, keepdim=True)
            var = (w * (votes - mu) ** 2).sum(1, keepdim=True) + 1e-4
            fit = (votes - mu) ** 2 / (2 * var) + (var.log() / 2 if width else 0)
            fit = fit.sum(-1) / (tau if tempered else 1)
            return mu[:, 0], (-fit).softmax(over)

        return f


    review = round_exercise.review
    for right in (one_round, round_with()):
        assert review(right).startswith("All 5 right")
    for name, mistake in (
        ("the mean of A by hand", dict(share=False)),
        ("a child that is half there", dict(presence=False)),
        ("the shares of each child together", dict(over=1)),
        ("who goes where", dict(width=False)),
        ("the same at temperature 2", dict(tempered=False)),
    ):
        assert f"Not yet: {name};" in review(round_with(**mistake))
