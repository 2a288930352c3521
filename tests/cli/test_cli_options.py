"""Options in either spelling, in verbs and scripts."""

import pytest

from co2net.cli.options import OptionParser
from co2net.devices import choose_device
from co2net.errors import InputError, with_names


@pytest.fixture
def parser():
    p = OptionParser()
    job = p.add_subparsers().add_parser("job")
    job.add_argument("--val_list")
    job.add_argument("--batch-size", type=int)
    job.add_argument("--keep", action="store_true")
    return p


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--val-list", "a_b-c", "--batch_size", "3"], ("a_b-c", 3, False)),
        (["--val-list=a_b-c=d", "--batch_size=3", "--keep"], ("a_b-c=d", 3, True)),
        (["--val_list", "-", "--batch-size", "3"], ("-", 3, False)),
        (["--val", "x", "--batch", "4"], ("x", 4, False)),  # shortened, as argparse allows
    ],
)
def test_hyphens_and_underscores_mean_the_same(parser, words, expected):
    options = parser.parse_args(["job", *words])
    assert (options.val_list, options.batch_size, options.keep) == expected


def test_unknown_options_are_named_as_written(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["job", "--un_known"])
    assert "--un_known" in capsys.readouterr().err


def test_verbs_and_scripts_take_both(run):
    code, _, err = run("evaluate", "--sample", "--limit_clips", "0")
    assert code == 2 and "at least 1, got 0" in err
    code, _, err = run("dataset", "build", "--luts_per_clip", "x")
    assert code == 2 and "argument --luts-per-clip: invalid int value" in err
    code, _, err = run("train", "refinement", "--dataset-path", "nowhere", "--train-list", "x", "--exp-name", "y")
    assert code == 2 and err.startswith("co2net: --backbone is missing")


def test_arguments_in_messages_become_the_flags_of_the_command(parser):
    options = parser.parse_args(["job", "--keep"])
    message = "`batch_size` must be 1 or more; see `co2net models`, `keep` or `unknown`"
    assert with_names(message, options.flags) == (
        "--batch-size must be 1 or more; see `co2net models`, --keep or `unknown`"
    )


def test_a_device_is_named_as_it_was_given(run, monkeypatch):
    code, _, err = run("evaluate", "--sample", "--device", "tpu")
    assert code == 2 and err.startswith("co2net: --device tpu is unknown; use auto")
    with pytest.raises(InputError, match="`device` tpu is unknown"):
        choose_device("tpu")
