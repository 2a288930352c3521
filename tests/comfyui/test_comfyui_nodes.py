"""The ComfyUI nodes, loaded as ComfyUI loads them, against a stand-in of its modules."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from video import clips

import co2net

FOLDER = Path(__file__).resolve().parents[2] / "comfyui"
SIZE = (48, 32)


class Stopped(Exception):
    """The stop button was pressed."""


class Host:
    """Stand-in of ``comfy``: one device, a bar that counts, a stop button."""

    def __init__(self, monkeypatch, schema: bool) -> None:
        self.progress, self.total, self.stop_after, self.freed = 0, 0, None, []
        host = self

        class ProgressBar:
            def __init__(self, total):
                host.total, host.progress = total, 0

            def update(self, value):
                host.progress += value

        def stop():
            if host.stop_after is not None and host.progress >= host.stop_after:
                raise Stopped

        management = types.ModuleType("comfy.model_management")
        vars(management).update(
            get_torch_device=lambda: torch.device("cpu"),
            intermediate_device=lambda: torch.device("cpu"),
            free_memory=lambda size, device: host.freed.append(size),
            throw_exception_if_processing_interrupted=stop,
        )
        utils = types.ModuleType("comfy.utils")
        vars(utils)["ProgressBar"] = ProgressBar
        package = types.ModuleType("comfy")
        package.__path__ = []
        modules: dict[str, types.ModuleType | None] = {"comfy": package, "comfy.utils": utils}
        modules["comfy.model_management"] = management
        if schema:
            modules |= _api()
        else:
            modules |= {"comfy_api": None, "comfy_api.latest": None}
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(sys, "path", [p for p in sys.path if Path(p or ".").resolve() != FOLDER.parent])
        spec = importlib.util.spec_from_file_location(
            f"custom_{schema}", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec is not None and spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, self.module)
        spec.loader.exec_module(self.module)
        if schema:
            listed = asyncio.run(asyncio.run(self.module.comfy_entrypoint()).get_node_list())
            self.nodes = {cls.define_schema().node_id: cls for cls in listed}
        else:
            self.nodes = self.module.NODE_CLASS_MAPPINGS
        self.schema = schema

    def run(self, name, **inputs):
        cls = self.nodes[name]
        if self.schema:
            return cls.execute(**inputs).result
        return getattr(cls(), cls.FUNCTION)(**inputs)


def _api():
    """``comfy_api.latest`` as far as nodes declare themselves with it; wrong arguments fail as they do there."""

    def kind(name):
        class Input:
            def __init__(
                self, id, optional=False, tooltip=None, default=None, min=None, max=None, step=None, options=None
            ):
                self.id, self.kind, self.optional, self.default = id, name, optional, default
                self.min, self.max, self.options = min, max, options

        class Output:
            def __init__(self, id=None, display_name=None, tooltip=None):
                self.kind, self.display_name = name, display_name

        return type(name, (), {"Input": Input, "Output": Output})

    class Schema:
        def __init__(self, node_id, display_name, category, inputs, outputs, description="", is_output_node=False):
            self.node_id, self.display_name, self.inputs, self.outputs = node_id, display_name, inputs, outputs
            self.is_output_node = is_output_node

    class NodeOutput:
        def __init__(self, *result):
            self.result = result

    names = {"Image": "IMAGE", "Mask": "MASK", "Float": "FLOAT", "Int": "INT", "String": "STRING", "Combo": "COMBO"}
    io = types.SimpleNamespace(
        **{name: kind(text) for name, text in names.items()},
        Custom=kind,
        ComfyNode=type("ComfyNode", (), {}),
        Schema=Schema,
        NodeOutput=NodeOutput,
    )
    latest = types.ModuleType("comfy_api.latest")
    vars(latest).update(io=io, ComfyExtension=type("ComfyExtension", (), {}))
    latest.__spec__ = importlib.util.spec_from_loader("comfy_api.latest", None)
    package = types.ModuleType("comfy_api")
    package.__path__ = []
    return {"comfy_api": package, "comfy_api.latest": latest}


@pytest.fixture(params=[False, True], ids=["classic", "schema"])
def host(request, monkeypatch):
    return Host(monkeypatch, request.param)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clip():
    """``(B, H, W, 3)`` and ``(B, H, W)``."""
    frames = np.stack([clips.picture(*SIZE, n) for n in range(4)]).astype(np.float32) / 255
    return torch.from_numpy(frames), torch.from_numpy(clips.disc(*SIZE)).float()[None].expand(4, -1, -1) / 255


USUAL = {"strength": 1.0, "previous": 2, "future": 1, "weights": "lutnet", "key_frames": "every frame"}


def test_harmonize_is_that_of_the_library_and_reports_itself(host, clip):
    image, mask = clip
    (out,) = host.run("Co2netHarmonize", image=image, mask=mask, **USUAL)
    model = co2net.create_model(weights="lutnet")
    wanted = co2net.harmonize_frames(image.movedim(3, 1), mask[:, None], model, 2, 1)
    torch.testing.assert_close(out, torch.stack([torch.as_tensor(f) for f in wanted]).movedim(1, 3))
    assert torch.equal(out[mask == 0], image[mask == 0]) and not torch.equal(out, image)
    assert host.progress == host.total == 4 and host.freed and host.freed[0] > 0


def test_one_mask_serves_all_frames_and_alpha_stays(host, clip):
    image, mask = clip
    with_alpha = torch.cat([image, torch.full((4, *SIZE[::-1], 1), 0.25)], dim=3)
    (out,) = host.run("Co2netHarmonize", image=with_alpha, mask=mask[0], **USUAL)
    (wanted,) = host.run("Co2netHarmonize", image=image, mask=mask, **USUAL)
    assert torch.equal(out[..., :3], wanted) and bool((out[..., 3] == 0.25).all())


def test_the_stop_button_works_between_frames(host, clip):
    host.stop_after = 2
    with pytest.raises(Stopped):
        host.run("Co2netHarmonize", image=clip[0], mask=clip[1], **USUAL)
    assert host.progress == 2


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 30, 48), "the mask is 48x30, the image 48x32"), ((3, 32, 48), "3 masks for 4 frames")],
)
def test_masks_that_do_not_fit_are_refused(host, clip, shape, message):
    with pytest.raises(ValueError, match=message):
        host.run("Co2netHarmonize", image=clip[0], mask=torch.ones(shape), **USUAL)


def test_a_lut_of_a_clip_does_to_it_what_harmonizing_does(host, clip):
    image, mask = clip
    (lut,) = host.run("Co2netMakeLUT", image=image, mask=mask, strength=1.0, size=33, weights="lutnet")
    assert lut.shape == (1, 3, 33, 33, 33)
    (out,) = host.run("Co2netApplyLUT", image=image, lut=lut, strength=1.0, mask=mask)
    (wanted,) = host.run("Co2netHarmonize", image=image, mask=mask, **USUAL)
    assert float((out - wanted).abs().max()) < 0.02
    (none,) = host.run("Co2netApplyLUT", image=image, lut=lut, strength=0.0)
    torch.testing.assert_close(none, image)


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Stand-in of ``folder_paths``: the input folder and the output folder."""
    places = tmp_path / "input", tmp_path / "output"
    for place in places:
        place.mkdir()
    module = types.ModuleType("folder_paths")
    vars(module).update(
        get_input_directory=lambda: str(places[0]),
        get_output_directory=lambda: str(places[1]),
        get_save_image_path=lambda prefix, folder: (folder, prefix, 1, "", prefix),
    )
    monkeypatch.setitem(sys.modules, "folder_paths", module)
    return places


def test_a_lut_is_saved_and_loaded(host, folders):
    lut = torch.rand(1, 3, 5, 5, 5)
    saved = [host.run("Co2netSaveLUT", lut=lut, filename_prefix="shot")[0] for _ in range(2)]
    assert [Path(path).name for path in saved] == ["shot_00001_.cube", "shot_00002_.cube"]
    (loaded,) = host.run("Co2netLoadLUT", file="shot_00002_.cube")
    assert torch.equal(loaded, lut)
    co2net.save_cube(lut / 2, folders[0] / "shot_00002_.cube")  # the input folder goes first
    assert torch.equal(host.run("Co2netLoadLUT", file="shot_00002_.cube")[0], lut / 2)
    save, node = (host.nodes[f"Co2net{name}LUT"] for name in ("Save", "Load"))
    assert save.define_schema().is_output_node if host.schema else save.OUTPUT_NODE  # else nobody would run it
    assert not (node.define_schema().is_output_node if host.schema else hasattr(node, "OUTPUT_NODE"))
    told = node.fingerprint_inputs if host.schema else node.IS_CHANGED
    assert told(file="shot_00001_.cube") == Path(saved[0]).stat().st_mtime


def test_no_other_folder_is_read(host, folders):
    co2net.save_cube(torch.rand(1, 3, 2, 2, 2), folders[0].parent / "outside.cube")
    for name in ("../outside.cube", str(folders[0].parent / "outside.cube")):
        with pytest.raises(ValueError, match="no such file in the input folder"):
            host.run("Co2netLoadLUT", file=name)


def test_mattes(host, clip):
    image, mask = clip
    plate = torch.tensor([0.1, 0.8, 0.15]) * (1 - mask[..., None]) + mask[..., None] * torch.tensor([0.7, 0.4, 0.3])
    colors, alpha = host.run("Co2netMatte", image=plate, way="green screen")
    assert alpha.shape == mask.shape and float((alpha - mask).abs().mean()) < 0.05
    assert float(colors[0, 16, 24, 1]) == pytest.approx(0.4, abs=0.05)
    same, carried = host.run("Co2netMatte", image=image, way="carry the given mask", mask=mask[:1])
    assert same is image and torch.equal(carried[0], mask[0]) and carried.shape == mask.shape
    with pytest.raises(ValueError, match="needs a mask of the first frame"):
        host.run("Co2netMatte", image=image, way="carry the given mask")


def test_colorize(host, clip):
    gray = clip[0].mean(dim=3, keepdim=True).expand(-1, -1, -1, 3)
    strokes = torch.zeros(1, *SIZE[::-1], 3)
    strokes[0, 8:12, 8:40] = torch.tensor([0.9, 0.2, 0.1])
    (out,) = host.run("Co2netColorize", image=gray, strokes=strokes)
    assert out.shape == gray.shape and float(out[0, 10, 20, 0] - out[0, 10, 20, 2]) > 0.1
    everywhere = torch.full_like(strokes, 0.3)
    everywhere[0, 8:12, 8:40] = torch.tensor([0.9, 0.2, 0.1])
    where = torch.zeros(1, *SIZE[::-1])
    where[0, 8:12, 8:40] = 1
    (masked,) = host.run("Co2netColorize", image=gray, strokes=everywhere, strokes_mask=where)
    assert float((masked - out).abs().max()) < 0.05


def test_both_forms_declare_the_same_nodes(monkeypatch):
    schema = Host(monkeypatch, True)
    assert schema.module.NODE_CLASS_MAPPINGS is None  # else ComfyUI would not ask for the entry point
    declared = {
        name: [(i.id, i.kind, i.optional, i.default, i.options) for i in cls.define_schema().inputs]
        for name, cls in schema.nodes.items()
    }
    outputs = {name: [o.kind for o in cls.define_schema().outputs] for name, cls in schema.nodes.items()}
    classic = Host(monkeypatch, False)
    assert set(classic.module.NODE_DISPLAY_NAME_MAPPINGS) == set(classic.nodes) == set(declared)
    for name, cls in classic.nodes.items():
        found = []
        for group, inputs in cls.INPUT_TYPES().items():
            for key, (kind, settings) in inputs.items():
                options = kind if isinstance(kind, list) else None
                found.append((key, "COMBO" if options else kind, group == "optional", settings.get("default"), options))
        assert sorted(found, key=str) == sorted(declared[name], key=str)
        assert list(cls.RETURN_TYPES) == outputs[name] and cls.CATEGORY == "co2net"


def test_loading_imports_nothing_of_co2net(monkeypatch):
    before = {name for name in sys.modules if name.startswith(("co2net", "trilinear", "tridistribute"))}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    Host(monkeypatch, False)
    assert not any(name.startswith(("co2net", "trilinear", "tridistribute")) for name in sys.modules)


def test_the_example_fits_the_nodes(monkeypatch):
    nodes = Host(monkeypatch, False).nodes
    work = json.loads((FOLDER / "workflows" / "harmonize_video.json").read_text())
    by_id = {node["id"]: node for node in work["nodes"]}
    for number, source, output, target, place, kind in work["links"]:
        assert by_id[source]["outputs"][output]["type"] == by_id[target]["inputs"][place]["type"] == kind
        assert number in by_id[source]["outputs"][output]["links"] and by_id[target]["inputs"][place]["link"] == number
    for node in work["nodes"]:
        if node["type"] not in nodes:
            continue
        given = nodes[node["type"]].INPUT_TYPES()
        every = [item for group in given.values() for item in group.items()]
        sockets = {name: kind for name, (kind, _) in every if kind in ("IMAGE", "MASK", "CO2NET_LUT")}
        assert {i["name"]: i["type"] for i in node["inputs"]} == sockets
        widgets = [(kind, settings) for name, (kind, settings) in every if name not in sockets]
        assert len(widgets) == len(node["widgets_values"])
        for (kind, settings), value in zip(widgets, node["widgets_values"], strict=True):
            assert value in kind if isinstance(kind, list) else settings["min"] <= value <= settings["max"]
