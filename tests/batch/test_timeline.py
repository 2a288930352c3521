"""Timelines: their media become shots, and the results stand in their place."""

from __future__ import annotations

import pytest
from shot_clips import SIZE, models
from video import clips

from co2net.batch.timeline import shots_of_timeline
from co2net.cli import main
from co2net.errors import InputError

otio = pytest.importorskip("opentimelineio", reason="needs pip install 'co2net[otio]'")
schema, time = otio.schema, otio.opentime


def span(start, frames, rate=25):
    return time.TimeRange(time.RationalTime(start, rate), time.RationalTime(frames, rate))


@pytest.fixture
def timeline(tmp_path, monkeypatch):
    """A video used twice, a part of a sequence, a gap, and a clip that nobody wants harmonized."""
    monkeypatch.setenv("CO2NET_MODELS", str(models(tmp_path / "models")))
    monkeypatch.chdir(tmp_path)
    media = tmp_path / "media"
    media.mkdir()
    clips.make_video(media / "a b.mp4", 6, SIZE)
    clips.make_folder(media / "mask", [clips.disc(*SIZE)] * 6)
    clips.make_folder(media / "seq", [clips.picture(*SIZE, n) for n in range(12)], "s.{:04d}.png")
    clips.make_folder(media / "seq_mask", [clips.disc(*SIZE)] * 12, "m.{:04d}.png")
    video = schema.ExternalReference((media / "a b.mp4").as_uri(), span(0, 6))
    sequence = schema.ImageSequenceReference(
        "media/seq", "s.", ".png", start_frame=1, rate=25, frame_zero_padding=4, available_range=span(0, 12)
    )
    track = schema.Track("V1")
    for name, reference, used, given in (
        ("first", video, span(0, 2), {"mask": "media/mask", "strength": 0.5}),
        ("second", sequence, span(3, 4), {"mask": "media/seq_mask", "name": "seq"}),
        ("third", video.deepcopy(), span(3, 3), {"mask": "media/mask", "strength": 0.5}),
        ("plain", schema.ExternalReference("media/other.mp4", span(0, 9)), span(0, 9), None),
    ):
        clip = schema.Clip(name, reference.deepcopy(), used)
        if given:
            clip.metadata["co2net"] = given
        track.append(clip)
        track.append(schema.Gap(source_range=span(0, 1)))
    whole = schema.Timeline("cut")
    whole.tracks.append(track)
    otio.adapters.write_to_file(whole, str(tmp_path / "cut.otio"))
    return tmp_path / "cut.otio"


def test_media_become_shots_each_once(timeline):
    shots = shots_of_timeline(timeline)
    assert [shot.name for shot in shots] == ["a b", "seq"]
    assert shots[0].options == {
        "composite": str(timeline.parent / "media" / "a b.mp4"),
        "mask": str(timeline.parent / "media" / "mask"),
        "strength": "0.5",
    }
    assert shots[1].options["frames"] == "4-7"


def test_the_results_take_the_places_of_the_media(timeline):
    assert main(["batch", str(timeline), "-o", "out", "--split", "100", "--workers", "1", "-q"]) == 0
    made = otio.adapters.read_from_file("out/cut.harmonized.otio")
    found = {clip.name: clip.media_reference for clip in made.find_clips()}
    out = timeline.parent / "out"
    assert found["first"].target_url == found["third"].target_url == (out / "a b.mp4").as_uri()
    assert found["plain"].target_url == "media/other.mp4"
    names = [found["second"].target_url_for_image_number(n) for n in range(3, 7)]
    files = sorted((out / "seq").iterdir())
    assert names == [path.as_uri() for path in files]
    assert clips.planes(out / "a b.mp4")[0][0].shape == (SIZE[1], SIZE[0]) and len(files) == 4


def test_timelines_that_cannot_be_used(timeline, tmp_path):
    (tmp_path / "broken.otio").write_text("{")
    with pytest.raises(InputError, match="OpenTimelineIO cannot read it"):
        shots_of_timeline(tmp_path / "broken.otio")
    with pytest.raises(InputError, match="does not exist"):
        shots_of_timeline(tmp_path / "nothing.otio")
    text = timeline.read_text().replace('"strength": 0.5', '"strength": 0.9', 1)
    timeline.write_text(text)
    with pytest.raises(InputError, match="with other options"):
        shots_of_timeline(timeline)
