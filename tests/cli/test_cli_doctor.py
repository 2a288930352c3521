"""What `co2net doctor` says, and that it notices what is missing."""

import json

from co2net.cli import main
from co2net.pipeline import doctor


def test_one_screen_and_json(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) < 40 and "trilinear: " in text and "h264" in text and "weights    " in text
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"versions", "devices", "kernels", "codecs", "extras", "weights", "disk", "problems"} == set(report)
    assert all(len(weights["sha256"]) == 64 for weights in report["weights"])


def test_what_is_missing_is_named_with_its_mend(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.trilinear, "backend", lambda tensor: "torch")
    monkeypatch.setattr(doctor.av, "codecs_available", {"ffv1"})
    monkeypatch.setattr(doctor, "list_releases", list)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 2e8}))
    monkeypatch.setattr(doctor, "_installed", lambda name: None)
    report = doctor.examine(tmp_path)
    problems = " ".join(report["problems"])
    for said in ("C++ compiler", "lacks encoders for h264", "no weights", "0.2 GB"):
        assert said in problems
    assert "tensorboard" in report["extras"]["train"]
    assert "problem    " in doctor.as_text(report) and "(missing)" in doctor.as_text(report)
