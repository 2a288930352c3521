"""Results as Markdown: used when a benchmark prints, and for docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, columns aligned."""
    cells = [list(heads), *(list(line) for line in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    rows = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([rows[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *rows[1:]])


def lut_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Applying and building LUTs."""
    lines = [
        [
            row["job"],
            str(row["threads"]),
            row["alternative"],
            f"{1e3 * row['median_seconds']:.1f}",
            f"{1e3 * row['low_seconds']:.1f}-{1e3 * row['high_seconds']:.1f}",
            f"{row['times_ours']:.1f}",
        ]
        for row in rows
    ]
    heads = ["job", "threads", "alternative", "median ms", "quartiles ms", "times ours"]
    size = f"{settings['width']}x{settings['height']}"
    return f"Pictures of {size}, LUTs of {settings['dim']}³ points, {settings['dtype']}.\n\n{markdown(heads, lines)}"


def images_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Networks on single pictures."""
    lines = [[row["way"], row["size"], f"{1e3 * row['median_seconds']:.0f}", f"{row['peak_mib']:.0f}"] for row in rows]
    table = markdown(["network", "picture", "median ms", "peak MiB"], lines)
    return (
        f"One picture in memory, {settings['threads']} thread(s), each in a process of its own; processor time, and "
        "memory beyond what the process held before. All networks but CDTNet work at their training size, and what "
        f"they found is carried to the picture's; CDTNet paints it whole.\n\n{table}"
    )


def pipeline_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """The whole of `harmonize_video`: frames per second, and where the processor's time goes."""

    def of(question: str) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["question"] == question]

    sizes = list(dict.fromkeys(row["size"] for row in of("size")))
    ways = list(dict.fromkeys(row["way"] for row in of("size")))
    found = {(row["size"], row["way"]): row for row in of("size")}
    speeds = [
        [way, *(f"{found[size, way]['frames_per_second']:.1f}" for size in sizes)]
        + [f"{1e3 * found[size, way]['processor_seconds_per_frame']:.0f}" for size in sizes]
        for way in ways
    ]
    heads = ["way", *(f"frames/s, {size}" for size in sizes), *(f"CPU ms per frame, {size}" for size in sizes)]
    shown = "1080p" if "1080p" in sizes else sizes[0]
    own = [way for way in ways if len(found[shown, way]["stages"]) > 1]
    stages = {way: found[shown, way]["stages"] for way in own}
    names = sorted({name for parts in stages.values() for name in parts})
    names.sort(key=lambda n: -stages[own[0]].get(n, 0.0))
    model = settings["backbone"] + (" with refinement" if settings["refinement"] else f", {settings['mapping']}")

    def per_frame(question: str) -> list[list[str]]:
        return [
            [row["way"], f"{1e3 * row['seconds_per_frame']:.1f}", f"{1e3 * row['processor_seconds_per_frame']:.1f}"]
            for row in of(question)
        ]

    def share(parts: Mapping[str, float], name: str) -> str:
        seconds = parts.get(name, 0.0)
        return f"{1e3 * seconds:.1f} ({100 * seconds / sum(parts.values()):.0f} %)" if seconds else ""

    paper = of("paper")[0]
    return "\n\n".join(
        [
            f"Clips of {settings['frames']} frames (4K: a quarter) with grain, H.264 in and out (preset "
            f"{settings['preset']}), 16 neighbors, {settings['threads']} PyTorch thread(s). The default model is "
            f"{model} ({settings['weights']} weights). CPU time counts all cores; the codec alone decodes both clips "
            "and encodes the composite unchanged.",
            markdown(heads, speeds),
            f"Where the processor's time goes at {shown}, ms per frame. \"Codec\" is all that FFmpeg's threads take "
            "for two decoders and one encoder, and what further threads of PyTorch and OpenCV take:",
            markdown(["stage", *own], [[name, *(share(stages[way], name) for way in own)] for name in names]),
            "The paper's way runs all 16 neighbors of a frame through the backbone anew: "
            f"{1e3 * paper['seconds_per_frame']:.0f} ms per frame at 256x256 for the networks alone, "
            f"{paper['passes']:.1f} times one pass of {1e3 * paper['pass_seconds']:.0f} ms.",
            "The length of the window, 480p, default model:",
            markdown(["neighbors", "ms per frame", "CPU ms per frame"], per_frame("window")),
            "The length of the clip, 480p, default model:",
            markdown(["frames", "ms per frame", "CPU ms per frame"], per_frame("length")),
            "Peak memory of the whole process (default model):",
            markdown(
                ["clip", "MiB"],
                [[f"{row['frames']} frames of {row['size']}", f"{row['mib']:.0f}"] for row in of("memory")],
            ),
        ]
    )


def overhead_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """The command beside the codec alone."""
    lines = [
        [
            row["size"],
            row["way"],
            f"{1e3 * row['processor_seconds_per_frame']:.1f}",
            f"{row['share_of_codec']:.2f}",
            f"{row['mib']:.0f}" if row["mib"] else "",
        ]
        for row in rows
    ]
    heads = ["clip", "way", "CPU ms per frame", "codec's share of it", "peak MiB"]
    starts = [[name, f"{wall:.2f}", f"{cpu:.2f}"] for name, (wall, cpu) in settings.get("starts", {}).items()]
    start = markdown(["start, sample clip (640x360)", "s", "CPU s to its end"], starts) if starts else ""
    return (
        f"The command's default settings (H.264 in and out, {settings['threads']} PyTorch thread(s)) on clips of "
        f"{settings['frames']} frames (4K: {settings['frames_4k']}), beside what "
        "only decodes the same inputs and encodes one of them. Processor time of all threads, least of "
        f"{settings['rounds']} runs in turns; memory of the command in a process of its own.\n\n"
        f"{markdown(heads, lines)}\n\n{start}".rstrip()
    )


def colorize_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Coloring gray clips without weights."""
    lines = [
        [
            str(row["frames"]),
            f"{row['frames'] / row['seconds']:.1f}",
            f"{row['frames'] / row['codec_seconds']:.0f}",
            f"{row['processor_seconds'] / row['frames']:.2f}",
            f"{row['mib']:.0f}",
        ]
        for row in rows
    ]
    heads = ["frames", "frames/s, start included", "frames/s, codec alone", "CPU s per frame", "peak MiB"]
    return (
        f"`co2net colorize` without weights on a {settings['size']} clip (H.264 in and out, {settings['threads']} "
        "PyTorch thread(s)), forty strokes on the first frame; median of "
        f"{settings['rounds']} runs for the first row.\n\n"
        f"{markdown(heads, lines)}"
    )


def instructions_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Applying a LUT with older instructions."""
    rival = next(row for row in rows if row["way"] == "OpenColorIO tetrahedral")["processor_seconds"]
    lines = [
        [row["way"], f"{1e3 * row['processor_seconds']:.1f}", f"{rival / row['processor_seconds']:.2f}"] for row in rows
    ]
    size = f"{settings['width']}x{settings['height']}"
    rest = _where_it_goes(rows, settings)
    return (
        f"`apply_lut`, a picture of {size}, float32, one thread; least processor time of calls in turns. The newest "
        f"instructions of this processor are {settings['instructions']}.\n\n"
        f"{markdown(['way', 'CPU ms', 'times as fast as tetrahedral'], lines)}\n\n{rest}".rstrip()
    )


def _where_it_goes(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Beyond copying: fetching the LUT, and computing."""
    times = {row["way"]: 1e3 * row["processor_seconds"] for row in rows}
    one_color = next((name for name in times if name.startswith("co2net on one color")), None)
    if one_color is None:
        return ""
    whole, one, copy = times[one_color.replace(" on one color", "")], times[one_color], times["copying the picture"]
    text = (
        f"Beyond the copy's {copy:.1f} ms, {one - copy:.1f} are computed for a picture of one color, whose corners are "
        f"in the first-level cache, and {whole - one:.1f} are waiting for the LUT's other points, half a megabyte in "
        "the second-level cache. "
    )
    if "avx512" not in settings["instructions"]:
        return text + (
            "Locating colors hides behind reading and writing the picture: with the corners left out 1.1 ms remained "
            "where a copy took 1.3, as results pass the caches (AVX-512, an AMD EPYC, measured once)."
        )
    return text + (
        "Arithmetic is what a pixel waits for here, not memory: in the first-level cache one takes 3.2 ns, 0.65 of "
        "them for locating it, and in a large picture of one color 3.4, while reading and writing the picture past the "
        "caches alone take 1.2 and hide behind it; in a picture of many colors it takes 4.1 (an Intel Xeon of the "
        "Sapphire Rapids kind, another program busy on the machine, measured once)."
    )


def server_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Many small requests, by quarters."""
    lines = [
        [
            row["requests"],
            str(row["lost"]),
            str(row["mixed_up"]),
            f"{row['per_second']:.1f}",
            *(f"{1e3 * row[f'{name}_seconds']:.0f}" for name in ("median", "p95", "worst")),
            f"{row['memory_mib']:.0f}",
        ]
        for row in rows
    ]
    heads = ["requests", "lost", "mixed up", "per second", "median ms", "95 % ms", "worst ms", "memory MiB"]
    return (
        f"Pictures of {settings['size']} to the server and back over the loopback, {settings['parallel']} at a time, "
        f"each of another color; memory of all processes.\n\n{markdown(heads, lines)}"
    )


def evaluation_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Evaluating a data set, in units of one backbone pass, and against the paper's way."""
    lines = [
        [
            row["way"],
            f"{1e3 * row['seconds_per_frame']:.0f}",
            f"{row['passes']:.2f}",
            f"{row['gain']:.1f}",
            "" if row["idle"] is None else f"{100 * row['idle']:.1f} %",
        ]
        for row in rows
    ]
    heads = ["way", "ms per frame", "backbone passes", "times faster than the paper's way", "device waits for data"]
    what = "with refinement" if settings["refinement"] else f"color mapping alone, {settings['mapping']}"
    return (
        f"Sample data set at 256x256, 8 + 8 neighbors, iSSAM ({what}), {settings['device']}, {settings['threads']} "
        f"PyTorch thread(s). The paper's way runs all 16 neighbors of a frame through the backbone anew.\n\n"
        f"{markdown(heads, lines)}"
    )


def flow_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """Estimating the motion between two frames."""
    pairs = [row for row in rows if row["question"] == "pair"]
    sizes = list(dict.fromkeys(row["size"] for row in pairs))
    lines = []
    for name in dict.fromkeys(row["alternative"] for row in pairs):
        own = {row["size"]: row for row in pairs if row["alternative"] == name}
        memory = [f"{own[size]['mib']:.0f}" if own[size]["mib"] else "" for size in sizes]
        lines.append([name, *(f"{own[size]['median_seconds']:.2f}" for size in sizes), *memory])
    heads = ["estimator", *(f"s per pair, {size}" for size in sizes), *(f"peak MiB, {size}" for size in sizes)]
    volumes = [
        [row["network"], row["alternative"], f"{1e3 * row['median_seconds']:.0f}", f"{row['times_ours']:.1f}"]
        for row in rows
        if row["question"] == "volume"
    ]
    idle = f", {settings['idle_mib']:.0f} MiB of it before any work" if settings["idle_mib"] else ""
    return "\n\n".join(
        [
            f"One pair of frames, random weights, {settings['threads']} thread(s); memory of the whole process{idle}.",
            markdown(heads, lines),
            "The cost volume at 480p:",
            markdown(["network", "way", "median ms", "times ours"], volumes),
        ]
    )


def gpu_tables(rows: Rows, settings: Mapping[str, Any]) -> str:
    """The CUDA kernels against copying memory and against PyTorch; the whole job on a GPU."""

    def of(question: str) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["question"] == question]

    def spread(row: Mapping[str, Any]) -> list[str]:
        return [f"{1e3 * row[f'{key}_seconds']:.3f}" for key in ("median", "low", "high")]

    kernels = [
        [
            row["job"],
            *spread(row),
            f"{row['bytes_per_second'] / 1e9:.0f}",
            f"{100 * row['share_of_copy']:.0f} %",
            f"{row['times_apply']:.2f}",
        ]
        for row in of("kernels")
    ]
    rivals = [[row["job"], row["alternative"], *spread(row), f"{row['times_ours']:.1f}"] for row in of("rivals")]
    videos = [
        [
            row["size"],
            str(row["frames"]),
            f"{row['frames_per_second']:.1f}",
            f"{1e3 * row['median_frame_seconds']:.1f}",
            f"{row['peak_mib']:.0f}",
        ]
        for row in of("videos")
    ]
    times = ["median ms", "quartile ms", "quartile ms"]
    worst = ", ".join(f"{name} {value:.1g}" for name, value in settings["worst_differences"].items())
    return "\n\n".join(
        [
            f"CUDA {settings['cuda']}, {settings['date']}. Largest differences from the definition: {worst}.",
            f"Batches of {settings['batch']} 4K frames, LUTs of {settings['dim']}³ points, float32. The speed counts "
            "the images once in and once out; frames are smooth pictures with grain unless noise is named.",
            markdown(["job", *times, "GB/s", "of copy's speed", "times apply_lut"], kernels),
            "One 4K frame:",
            markdown(["job", "alternative", *times, "times ours"], rivals),
            "Video in, video out (H.264, coded on the processor), 16 neighbors:",
            markdown(["frame size", "frames", "frames/s, start to end", "ms per frame", "GPU MiB"], videos),
        ]
    )
