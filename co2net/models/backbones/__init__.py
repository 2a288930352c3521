"""Per-frame harmonization networks, one paper per file; importing this package registers them all."""

from co2net.models.backbones.base import BACKBONES, Backbone, BackboneOutput, Recipe, backbone_class, register
from co2net.models.backbones.cdtnet import CDTNet
from co2net.models.backbones.duconet import DucoNet
from co2net.models.backbones.issam import ISSAM
from co2net.models.backbones.lutnet import LUTNet
from co2net.models.backbones.rain import RainNet
from co2net.models.backbones.tonenet import ToneNet

__all__ = [
    "BACKBONES",
    "ISSAM",
    "Backbone",
    "BackboneOutput",
    "CDTNet",
    "DucoNet",
    "LUTNet",
    "RainNet",
    "Recipe",
    "ToneNet",
    "backbone_class",
    "register",
]
