"""What is wrong is found, what is rounding is not."""

import torch

from gattn.benchmark import PROBLEMS, PROVIDERS
from gattn.benchmark.agree import TOLERANCE, disagreements, results
from gattn.benchmark.problems import make_inputs


def test_one_wrong_row_of_fifty_thousand_is_found():
    expected = {"output": torch.randn(50_000, 8, generator=torch.Generator().manual_seed(0))}
    found = {"output": expected["output"] * (1 + 1e-5)}
    assert disagreements(found, expected) == []
    found["output"][777] = 0
    (said,) = disagreements(found, expected)
    assert said.startswith("output differs by ")
    assert said.endswith(f"expected at most {TOLERANCE:g}")


def test_nan_is_no_agreement():
    expected = {"output": torch.ones(3)}
    assert disagreements({"output": torch.full((3,), torch.nan)}, expected)


def test_noise_of_a_gradient_that_is_zero_is_no_disagreement():
    exact = {"output": torch.ones(3), "gradient of a": torch.ones(3)}
    noise = torch.full((3,), 1e-7)
    expected = {**exact, "gradient of b": noise}
    assert disagreements({**exact, "gradient of b": -noise}, expected) == []
    assert disagreements({**exact, "gradient of b": noise + 1}, expected)


def test_every_result_is_compared():
    problem = PROBLEMS["cora"]
    given = make_inputs(problem, problem.layers[0], problem.quick(0), 0)
    expected = results(PROVIDERS["pyg"].build(given))
    for name in expected:
        found = {**expected, name: expected[name] * 1.01}
        assert [said.partition(" differs")[0] for said in disagreements(found, expected)] == [name]
