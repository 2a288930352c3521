"""The promises of `import co2net`: the public names are there, and importing is instant."""

import subprocess
import sys

import pytest

import co2net

MODEL_NAMES = ["create_backbone", "create_model", "list_backbones", "list_models", "load_cube", "metrics", "save_cube"]


def test_importing_is_light():
    heavy = ("torch", "numpy", "cv2", "av", "safetensors", "PIL")
    code = f"import sys, co2net; dir(co2net); co2net.__version__; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_names_resolve(name):
    assert getattr(co2net, name) is getattr(co2net, name)


def test_the_list_of_names_is_the_one_documented():
    assert dir(co2net) == sorted(co2net.__all__)
    assert {*co2net.__all__} == {*co2net._PUBLIC, "__version__"}
    assert isinstance(co2net.__version__, str)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'co2net' has no attribute 'harmonise'"):
        co2net.harmonise  # noqa: B018
