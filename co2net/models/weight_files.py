"""The weight files of models: :mod:`co2net.weight_files`, which the optical flow networks read too."""

from co2net.weight_files import WeightFile, average_weights, read_metadata, read_weights, save_weights

__all__ = ["WeightFile", "average_weights", "read_metadata", "read_weights", "save_weights"]
