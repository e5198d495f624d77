"""`ddad train`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ddad_core.errors import ModelError, TrainingError


def run(arguments: Namespace) -> int:
    """`ddad train`."""
    from ddad_core.scoring import resolve_device
    from ddad_core.training import images, loop, pack, refine
    from ddad_core.training.manifest import load_manifest

    folder = arguments.weights / arguments.name
    if folder.exists():
        problem = f"{folder} exists, and a model is never edited in place."
        raise ModelError(problem, "Give another --name, or remove the folder yourself.")
    config = loop.TrainingConfig(
        network=arguments.network,
        size=arguments.size,
        members=arguments.members,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    if config.members < 2:
        problem = f"--members is {config.members}; one network alone has no A_intra."
        raise TrainingError(problem, "Train 2 or more networks a module; the method has 3.")
    data = load_manifest(arguments.manifest)
    device = resolve_device(arguments.device)
    grey = images.load_roles(
        data, ("normal", "unlabeled", "calibration"), arguments.images, config.size
    )
    run_folder = arguments.run or Path("runs") / arguments.name
    trained = loop.train(config, grey["normal"], grey["unlabeled"], run=run_folder, device=device)
    refinement = None
    if arguments.refine:
        refinement = refine.train_refinement(
            refine.RefinementConfig(epochs=arguments.refine, seed=arguments.seed),
            trained.a,
            trained.b,
            grey["normal"],
            run=run_folder,
            device=device,
        )
    pack.pack_model(
        folder,
        config=config,
        trained=trained,
        manifest=data,
        calibration=grey["calibration"],
        title=arguments.title,
        refinement=refinement,
        primary=arguments.primary,
        default_map=arguments.default_map,
    )
    print(f"{folder}: trained in {trained.seconds:.0f} s and calibrated.")
    print(f"Measure it: ddad evaluate {arguments.name} --images {arguments.images} --write-card")
    return 0
