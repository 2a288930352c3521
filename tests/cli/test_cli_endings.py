"""How commands end where something below them, which knows none of our exceptions, refuses its input."""

import pytest

from co2net.cli.errors import exit_code


def ends(error: Exception):
    def job() -> None:
        raise error

    return job


def test_names_that_are_too_long(capsys, tmp_path):
    assert exit_code(lambda: (tmp_path / ("x" * 300)).stat()) == 2
    assert "longer than the system allows" in capsys.readouterr().err


def test_a_wrong_environment_variable(capsys):
    assert exit_code(ends(ValueError("CO2NET_INSTRUCTIONS must be one of plain, avx2, not x"))) == 2
    assert capsys.readouterr().err == "co2net: CO2NET_INSTRUCTIONS must be one of plain, avx2, not x\n"


@pytest.mark.parametrize("error", [ValueError("our fault"), OSError(5, "our fault")])
def test_other_errors_keep_their_traceback(error):
    with pytest.raises(type(error), match="our fault"):
        exit_code(ends(error))
