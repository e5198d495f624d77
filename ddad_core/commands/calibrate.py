"""`ddad calibrate`."""

from __future__ import annotations

from argparse import Namespace


def run(arguments: Namespace) -> int:
    """`ddad calibrate`."""
    from ddad_core.registry import load_model
    from ddad_core.training.images import load_roles
    from ddad_core.training.manifest import load_manifest
    from ddad_core.training.pack import recalibrate

    model = load_model(arguments.weights / arguments.model)
    data = load_manifest(
        arguments.manifest or arguments.manifests / model.card.raw["data"]["manifest"]
    )
    grey = load_roles(data, ["calibration"], arguments.images, model.card.input_size)
    folder = arguments.weights / arguments.name
    recalibrate(
        folder,
        model,
        grey["calibration"],
        primary=arguments.primary,
        default_map=arguments.default_map,
    )
    print(f"{folder}: {model.card.name} calibrated on {len(grey['calibration'])} normals.")
    return 0
