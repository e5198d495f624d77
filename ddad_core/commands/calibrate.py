"""`ddad calibrate`."""

from __future__ import annotations

from argparse import Namespace


def run(arguments: Namespace) -> int:
    """`ddad calibrate`."""
    from ddad_core.registry import load_model
    from ddad_core.training.images import load_roles
    from ddad_core.training.manifest import load_model_manifest
    from ddad_core.training.pack import recalibrate

    model = load_model(arguments.weights / arguments.model)
    own = model.card.raw["data"]
    data = load_model_manifest(arguments.manifest, own, arguments.manifests)
    grey = load_roles(data, ["calibration"], arguments.images, model.card.input_size)
    folder = arguments.weights / arguments.name
    recalibrate(
        folder,
        model,
        grey["calibration"],
        source={"manifest": f"{data.name}.csv", "manifest_sha256": data.sha256},
        primary=arguments.primary or "a_inter",
        default_map=arguments.default_map,
    )
    print(f"{folder}: {model.card.name} calibrated on {len(grey['calibration'])} normals.")
    return 0
