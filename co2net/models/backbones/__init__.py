"""Per-frame harmonization networks, one paper per file; importing this package registers them all."""

from co2net.models.backbones.base import Backbone, BackboneOutput
from co2net.models.backbones.issam import ISSAM
from co2net.models.backbones.lutnet import LUTNet
from co2net.models.backbones.rain import RainNet
from co2net.models.backbones.registration import BACKBONES, backbone_class, register

__all__ = ["BACKBONES", "ISSAM", "Backbone", "BackboneOutput", "LUTNet", "RainNet", "backbone_class", "register"]
