"""Encoders and decoders of graphics processors: as far as a machine without one can tell, and on one that has it."""

import av
import numpy as np
import pytest
from video import clips

from co2net.cli import main
from co2net.errors import InputError, OutputError
from co2net.video import codecs, encoding, hardware, open_video, open_writer
from co2net.video.color import planar_layout, plane_views

ON_HARDWARE = {name: codec for name, codec in codecs.CODECS.items() if codec.needs}


def absent(monkeypatch, cause="Operation not permitted"):
    monkeypatch.setattr(codecs, "encoder_fails", lambda encoder: cause)


@pytest.mark.parametrize("name", ON_HARDWARE)
def test_one_sentence_where_the_hardware_is_absent(name, monkeypatch):
    absent(monkeypatch)
    with pytest.raises(OutputError, match="Operation not permitted") as caught:
        codecs.choose_codec(".mp4", name, "out.mp4")
    assert ON_HARDWARE[name].needs in str(caught.value)
    assert f"codec {ON_HARDWARE[name].family} encodes on the processor" in str(caught.value)


def test_the_command_ends_before_the_work(tmp_path, monkeypatch, capsys):
    absent(monkeypatch)
    clip, mask = tmp_path / "clip.mp4", tmp_path / "mask.mp4"
    clips.make_video(clip, 2)
    clips.make_video(mask, [np.repeat(clips.disc(96, 64)[..., None], 3, axis=2)] * 2)
    output = tmp_path / "out.mp4"
    code = main(["harmonize", str(clip), "--mask", str(mask), "-o", str(output), "--codec", "h264_nvenc"])
    said = capsys.readouterr().err
    assert code == 2
    assert "needs an NVIDIA GPU" in said
    assert len(said.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "mask.mp4"]


@pytest.mark.parametrize("name", ON_HARDWARE)
def test_whether_an_encoder_opens_is_found_out(name):
    if ON_HARDWARE[name].encoder not in av.codecs_available:
        pytest.skip(f"this PyAV was built without {name}")
    cause = hardware.encoder_fails(ON_HARDWARE[name].encoder)
    if cause:
        with pytest.raises(OutputError, match="encodes on the processor"):
            codecs.choose_codec(".mp4", name, "out.mp4")
    else:
        assert codecs.choose_codec(".mp4", name, "out.mp4") is ON_HARDWARE[name]


def test_an_encoder_of_the_processor_opens():
    assert hardware.encoder_fails("libx264") == ""


def test_files_hold_the_family():
    with pytest.raises(OutputError, match=r"webm files do not hold H\.264"):
        codecs.choose_codec(".webm", "h264_nvenc", "out.webm")


@pytest.mark.parametrize(
    "name, quality, expected",
    [
        ("h264_nvenc", None, {"rc": "vbr", "b": "0", "cq": "18"}),
        ("hevc_nvenc", 23.5, {"rc": "vbr", "b": "0", "cq": "23.5"}),
        ("av1_nvenc", 0, {"rc": "vbr", "b": "0", "cq": "1"}),
        ("h264_qsv", 25, {"global_quality": "25"}),
        ("hevc_amf", 30, {"rc": "cqp", "qp_i": "30", "qp_p": "30"}),
    ],
)
def test_quality_is_mapped(name, quality, expected):
    assert codecs.quality_options(codecs.CODECS[name], quality) == expected


def test_qualities_that_an_encoder_does_not_take():
    with pytest.raises(OutputError, match="whole numbers"):
        codecs.quality_options(codecs.CODECS["h264_qsv"], 20.5)
    with pytest.raises(OutputError, match="0 \\(best\\) to 51"):
        codecs.quality_options(codecs.CODECS["h264_nvenc"], 52)
    assert codecs.preset_options(codecs.CODECS["h264_nvenc"], "p7") == {"preset": "p7"}
    with pytest.raises(OutputError, match="p1, p2"):
        codecs.preset_options(codecs.CODECS["h264_nvenc"], "superfast")


@pytest.mark.parametrize(
    "name, source, expected, note",
    [
        ("h264_nvenc", "yuv420p", "yuv420p", ""),
        ("h264_qsv", "yuv420p", "nv12", ""),
        ("hevc_nvenc", "yuv420p10le", "p010le", ""),
        ("hevc_qsv", "yuv422p10le", "p010le", ""),
        ("h264_nvenc", "yuv420p10le", "yuv420p", "8 bits per channel"),
        ("h264_amf", "gbrp", "yuv420p", ""),
    ],
)
def test_samples_are_the_nearest_that_it_takes(name, source, expected, note):
    if codecs.CODECS[name].encoder not in av.codecs_available:
        pytest.skip(f"this PyAV was built without {name}")
    notes: list[str] = []
    assert codecs.choose_pixel_format(codecs.CODECS[name], planar_layout(source), 96, 64, notes) == expected
    assert bool(notes) == bool(note)
    assert note in " ".join(notes)


def test_odd_sizes():
    notes: list[str] = []
    layout = planar_layout("yuv420p")
    assert codecs.choose_pixel_format(codecs.CODECS["h264_nvenc"], layout, 95, 64, notes) == "yuv444p"
    with pytest.raises(OutputError, match="takes no odd size"):
        codecs.choose_pixel_format(codecs.CODECS["h264_qsv"], layout, 95, 64, notes)


def test_interleaved_samples_are_the_decoded_ones(tmp_path, monkeypatch):
    """What hardware takes is only another order of the same samples; raw video shows it without hardware."""
    source = tmp_path / "source.mkv"
    clips.make_video(source, 2, codec="ffv1")
    raw = codecs.Codec("rawvideo", "raw", lossless=True)
    monkeypatch.setattr(encoding, "choose_pixel_format", lambda *_: "nv12")
    monkeypatch.setattr("co2net.video.writer.choose_codec", lambda *_: raw)
    with open_video(source) as reader, open_writer(tmp_path / "out.mkv", reader.info) as writer:
        for frame in reader:
            writer.write(frame, frame.image)
    layout = planar_layout("yuv420p")
    with open_video(source) as before, open_video(tmp_path / "out.mkv") as after:
        assert after.info.pixel_format == "nv12"
        for one, other in zip(before, after, strict=True):
            for plane, same in zip(plane_views(one.stored, layout), plane_views(other.stored, layout), strict=True):
                assert np.array_equal(plane, same)


def test_ten_bits_stay_in_the_layout_that_hardware_takes():
    frame = clips.frame_of(clips.picture(96, 64, peak=65535), "yuv420p10le")
    back = frame.reformat(format="p010le").reformat(format="yuv420p10le")
    layout = planar_layout("yuv420p10le")
    for plane, same in zip(plane_views(frame, layout), plane_views(back, layout), strict=True):
        assert np.array_equal(plane, same)


def test_decoding_without_a_device_is_the_processors(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "_decoding_device", lambda: "")
    clips.make_video(tmp_path / "clip.mp4", 3)
    with open_video(tmp_path / "clip.mp4", hardware="auto") as reader, open_video(tmp_path / "clip.mp4") as plain:
        for one, other in zip(reader, plain, strict=True):
            assert np.array_equal(one.image, other.image)
    with pytest.raises(InputError, match="must be one of auto, off"):
        open_video(tmp_path / "clip.mp4", hardware="cuda")


def test_the_report_says_who_decoded(tmp_path, monkeypatch):
    from co2net.pipeline.inputs import CompositeInputs, ExitStack

    clips.make_video(tmp_path / "clip.mp4", 2)
    clips.make_video(tmp_path / "mask.mp4", [np.repeat(clips.disc(96, 64)[..., None], 3, axis=2)] * 2)
    for device, said in (("", "no graphics processor"), ("cuda", "decoded by cuda")):
        monkeypatch.setattr("co2net.pipeline.inputs.decoding", lambda _, device=device: (None, device))
        with ExitStack() as stack:
            inputs = CompositeInputs(tmp_path / "clip.mp4", tmp_path / "mask.mp4", hardware="auto")
            monkeypatch.setattr(hardware, "_decoding_device", lambda: "")
            assert any(note.startswith(said) for note in inputs.open(stack)[2])


@pytest.mark.needs_cuda
@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc"])
def test_nvenc_keeps_what_is_outside_the_mask(codec, tmp_path):
    source, size = tmp_path / "source.mkv", (320, 192)
    clips.make_video(source, 8, size=size, codec="ffv1", pixel_format="yuv420p")
    mask = clips.disc(*size).astype(np.float32) / 255
    with (
        open_video(source) as reader,
        open_writer(tmp_path / "out.mp4", reader.info, codec=codec, quality=1) as writer,
    ):
        for frame in reader:
            writer.write(frame, 255 - frame.image, mask)
    with open_video(source) as before, open_video(tmp_path / "out.mp4") as after:
        for one, other in zip(before, after, strict=True):
            change = np.abs(one.image.astype(int) - other.image).mean(axis=2)
            assert change[mask == 0].mean() < 1.5
            assert change[mask == 1].mean() > 20


@pytest.mark.needs_cuda
@pytest.mark.parametrize("codec, pixel_format", [("libx264", "yuv420p"), ("libx265", "yuv420p10le")])
def test_cuda_decodes_the_same_samples(codec, pixel_format, tmp_path):
    clips.make_video(tmp_path / "clip.mp4", 8, size=(320, 192), codec=codec, pixel_format=pixel_format)
    assert hardware.decoding("auto")[1] == "cuda"
    with open_video(tmp_path / "clip.mp4", hardware="auto") as reader, open_video(tmp_path / "clip.mp4") as plain:
        for one, other in zip(reader, plain, strict=True):
            assert np.array_equal(one.image, other.image)
