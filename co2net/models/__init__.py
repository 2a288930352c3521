"""Networks: backbones, refinement, the whole CO2Net, and one door to them (:mod:`co2net.models.registry`)."""
