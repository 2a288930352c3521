"""Models on the Hugging Face Hub, or in a folder of the same form: ``model.safetensors`` with its header, and a card.

Over ``huggingface_hub``'s mixin, so that caches, tokens, revisions and offline work are those of that library. Files
are read as any weight file is: nothing in them is executed.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.errors import InputError
from co2net.files import write_beside
from co2net.models.weight_header import WeightHeader, save_model_weights

if TYPE_CHECKING:
    from co2net.models.co2net import CO2Net

FILE = "model.safetensors"
CARD = """\
---
library_name: co2net
license: {license}
tags: [video-harmonization, image-harmonization, compositing]
---

# {title}

A model for co2net, video harmonization: `{backbone}`, color mapping `{mapping}`{refinement}.

```python
import co2net
from co2net.models.co2net import CO2Net

model = CO2Net.from_pretrained("this/repository")
co2net.harmonize_video("composite.mp4", "mask.mp4", "harmonized.mp4", model=model)
```
"""


def from_hub(name: str | os.PathLike[str], **where: Any) -> CO2Net:
    """Load a model from the Hub or from a folder.

    Args:
        name: ``user/repository``, or a folder that :func:`save_to_folder` wrote.
        **where: of ``huggingface_hub``: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ...

    Raises:
        InputError: huggingface_hub is not installed, or there is no such model.
        WeightsError: its file cannot be used.
    """
    mixin = _mixin()
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # pyright: ignore[reportMissingImports]

    try:
        return mixin.from_pretrained(name, **where).model
    except (HFValidationError, HfHubHTTPError, FileNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(f"{name}: no model of co2net could be had ({reason})") from error


def save_to_folder(model: CO2Net, folder: str | os.PathLike[str]) -> Path:
    """Write a model into a folder of the Hub's form.

    Args:
        model: what to write.
        folder: made if missing.

    Returns:
        The weight file.

    Raises:
        InputError: huggingface_hub is not installed.
        OutputError: the folder cannot be written.
    """
    _mixin()(model).save_pretrained(folder)
    return Path(folder) / FILE


def push_to_hub(model: CO2Net, repository: str, **how: Any) -> str:
    """Upload a model; returns the address of the commit.

    Args:
        model: what to upload.
        repository: ``user/name``; made if missing.
        **how: of ``huggingface_hub``: ``private``, ``token``, ``branch``, ``commit_message``, ...

    Raises:
        InputError: huggingface_hub is not installed.
    """
    return str(_mixin()(model).push_to_hub(repository, **how))


@lru_cache(maxsize=1)
def _mixin() -> Any:
    try:
        from huggingface_hub import ModelHubMixin, hf_hub_download  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("the Hub needs huggingface_hub, which is not installed; pip install 'co2net[hub]'") from error

    class OnHub(ModelHubMixin, library_name="co2net"):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
        def __init__(self, model: CO2Net) -> None:
            self.model = model

        def _save_pretrained(self, save_directory: Path) -> None:
            header = header_of(self.model)
            save_model_weights(save_directory / FILE, self.model.state_dict(), header)
            if not (save_directory / "README.md").exists():
                write_beside(save_directory / "README.md", _card(header))

        @classmethod
        def _from_pretrained(cls, *, model_id: str, **given: Any) -> Any:
            from co2net.models.registry import load_model

            if os.path.isdir(model_id):
                return cls(load_model(Path(model_id).absolute() / FILE))
            names = ("revision", "cache_dir", "force_download", "local_files_only", "token")
            path = hf_hub_download(model_id, FILE, **{name: given[name] for name in names})
            return cls(load_model(Path(path)))

    return OnHub


def header_of(model: CO2Net) -> WeightHeader:
    """What the file of a model says about itself."""
    from co2net.models.backbones import BACKBONES

    backbone = model.backbone
    return WeightHeader(
        backbone=next(name for name, network in BACKBONES.items() if network is type(backbone)),
        refinement=model.refinement,
        use_feature=model.use_feature if model.refinement else None,
        training_size=backbone.training_size,
        mapping=model.mapping.name,
    )


def _card(header: WeightHeader) -> str:
    return CARD.format(
        license="other",
        title=header.backbone,
        backbone=header.backbone,
        mapping=header.mapping,
        refinement=", with refinement" if header.refinement else "",
    )
