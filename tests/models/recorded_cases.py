"""The recorded cases of `tests/fixtures` as tensors."""

from dataclasses import dataclass

import fixtures
import torch
from torch import Tensor


@dataclass
class Case:
    settings: dict
    state: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    tolerance: float

    def expected(self, name: str) -> tuple[Tensor, int]:
        """The recorded array and its stride: `name_s4` holds every fourth row and column."""
        for key, value in self.outputs.items():
            base, _, stride = key.rpartition("_s")
            if key == name:
                return value, 1
            if base == name and stride.isdigit():
                return value, int(stride)
        raise KeyError(f"{name} is not in {sorted(self.outputs)}")

    def check(self, name: str, value: Tensor) -> None:
        """Compare with the recorded array `name`, to the case's tolerance."""
        expected, stride = self.expected(name)
        torch.testing.assert_close(value[..., ::stride, ::stride], expected, rtol=0, atol=self.tolerance)

    def check_sum(self, name: str, values: Tensor) -> None:
        """Compare the sum over the batch with the recorded number; a sum of squares, so relative."""
        torch.testing.assert_close(values.sum(), self.outputs[name], rtol=1e-5, atol=0)


def load_case(name: str) -> Case:
    case, outputs = fixtures.load(name)
    inputs = {key: torch.from_numpy(value) for key, value in fixtures.inputs(case).items()}
    for key in case["settings"].get("quantize", {}).get("inputs", ()):
        inputs[key] = (inputs[key] * 255).round() / 255
    return Case(
        settings=case["settings"],
        state={key: torch.from_numpy(value) for key, value in fixtures.state_dict(case).items()},
        inputs=inputs,
        outputs={key: torch.from_numpy(value) for key, value in outputs.items()},
        tolerance=case["tolerance"],
    )
