import lut_cases
import pytest


@pytest.fixture(params=lut_cases.BACKENDS)
def backend(request, monkeypatch):
    """Each way to compute in turn."""
    lut_cases.use(request.param, monkeypatch)
    return request.param
