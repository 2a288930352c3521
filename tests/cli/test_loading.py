"""How the command loads PyTorch: what is put off until asked for, and what memory is given back."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from co2net.cli.late import put_off

PACKAGE = {
    "__init__.py": "import sys\nsys.ran += ['package']\nvalue = 7\nfrom late_package import part\n",
    "part.py": "import sys\nsys.ran += ['part']\nfrom late_package import value\n",
}


@pytest.fixture
def late(tmp_path, monkeypatch):
    """A package that was imported without being run."""
    for name, text in PACKAGE.items():
        (tmp_path / "late_package").mkdir(exist_ok=True)
        (tmp_path / "late_package" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "ran", [], raising=False)
    finder = put_off(["late_package"])
    import late_package  # type: ignore[import-not-found]

    yield late_package
    sys.meta_path.remove(finder)
    for name in ("late_package", "late_package.part"):
        sys.modules.pop(name, None)


def ran() -> list[str]:
    return sys.ran  # type: ignore[attr-defined]


def test_a_module_that_is_put_off_runs_when_it_is_asked(late):
    assert ran() == [] and late.__name__ == "late_package" and late.__file__.endswith("__init__.py")
    assert late.value == 7 and late.value == 7
    assert ran() == ["package", "part"] and type(late).__name__ == "module"
    with pytest.raises(AttributeError, match="other"):
        late.other  # noqa: B018


def test_a_part_of_a_package_that_is_put_off_comes_after_it(late):
    import late_package.part  # type: ignore[import-not-found]

    assert ran() == ["package", "part"] and late.part.value == 7 and late_package.part is late.part
    assert late.part is sys.modules["late_package.part"]


def test_a_question_that_python_asks_of_every_module_runs_nothing(late):
    assert not hasattr(late, "__wrapped__") and ran() == []


def test_of_two_threads_that_ask_both_wait_for_the_whole_module(late):
    found = []
    threads = [threading.Thread(target=lambda: found.append(late.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [7] * 8 and ran() == ["package", "part"]


LOAD = "import sys\nfrom co2net.cli.loading import give_back_memory, load_torch\nload_torch()\nimport torch\n"


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", LOAD + code], capture_output=True, text=True, check=True).stdout


def test_pytorch_loads_without_what_a_network_does_not_touch():
    """If this fails with a new version of PyTorch, it imports its parts in another order."""
    code = (
        "from co2net.cli import loading\n"
        "known = torch.__version__.startswith(loading._KNOWN)\n"
        "names = loading._NEEDLESS + loading._NEEDLESS_ALONE if known else ()\n"
        "assert [n for n in names if type(sys.modules.get(n)).__name__ != '_Late'] == []\n"
        "assert known or not [n for n, m in sys.modules.items() if type(m).__name__ == '_Late']\n"
        "assert 'torch._decomp' not in sys.modules or not known\n"
        "print(torch.export.export.__name__, torch.distributions.Normal(0., 1.).log_prob(torch.zeros(1)).shape)\n"
        "import torch.ao.quantization\n"
        "program = torch.export.export(torch.nn.Linear(2, 3), (torch.zeros(1, 2),))\n"
        "print(program.module()(torch.ones(1, 2)).shape)\n"
        "print(torch.optim.SGD.__name__, torch.masked.masked_tensor.__name__, torch.profiler.profile.__name__)\n"
        "from torch.utils.data import DataLoader\n"
        "print(list(DataLoader([1, 2], batch_size=2)))"
    )
    lines = ["export torch.Size([1])", "torch.Size([1, 3])", "SGD masked_tensor profile", "[tensor([1, 2])]", ""]
    assert python(code).split("\n") == lines


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_code_that_is_done_with_is_given_back_and_networks_still_run():
    code = (
        "def resident():\n"
        "    return int(open('/proc/self/status').read().split('VmRSS:')[1].split()[0]) >> 10\n"
        "layer, x = torch.nn.Conv2d(3, 8, 3), torch.ones(1, 3, 16, 16)\n"
        "first, before = layer(x), resident()\n"
        "give_back_memory()\n"
        "after = resident()\n"
        "assert torch.equal(layer(x), first)\n"
        "print(before - after)"
    )
    assert int(python(code)) > 30
