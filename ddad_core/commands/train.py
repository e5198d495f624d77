"""`ddad train`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ddad_core.commands import train_ratio
from ddad_core.errors import ModelError, TrainingError


def run(arguments: Namespace) -> int:
    """`ddad train`."""
    given = {
        name: value
        for name in ("size", "members", "epochs", "batch_size", "learning_rate", "seed")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.network == "ratio":
        return train_ratio.run(_named(arguments), given)
    from ddad_core.scoring import resolve_device
    from ddad_core.training import images, loop, pack, refine
    from ddad_core.training.manifest import load_manifest

    folder = _named(arguments).weights / arguments.name
    if folder.exists():
        problem = f"{folder} exists, and a model is never edited in place."
        raise ModelError(problem, "Give another --name, or remove the folder yourself.")
    config = loop.TrainingConfig(network=arguments.network, **given)
    if config.members < 2:
        problem = f"--members is {config.members}; one network alone has no A_intra."
        raise TrainingError(problem, "Train 2 or more networks a module; the method has 3.")
    wanted = refine.RefinementConfig(epochs=arguments.refine or 1, seed=arguments.seed)
    data = load_manifest(arguments.manifest)
    _check_choices(arguments, len(data.role("calibration")) >= pack.LEAST_FOR_PLACES)
    device = resolve_device(arguments.device)
    # The other parts are read, too, so that a picture under two roles is noticed; then dropped.
    others = tuple(role for role in ("validation", "test") if data.role(role))
    used = ("normal", "unlabeled", "calibration")
    loaded = images.load_roles(data, (*used, *others), arguments.images, config.size)
    grey = {role: loaded[role] for role in used}
    del loaded
    run_folder = arguments.run or Path("runs") / arguments.name
    trained = loop.train(config, grey["normal"], grey["unlabeled"], run=run_folder, device=device)
    refinement = None
    if arguments.refine:
        refinement = refine.train_refinement(
            wanted,
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
        primary=arguments.primary or pack.PRIMARY,
        default_map=arguments.default_map,
        normals=grey["normal"],
    )
    print(f"{folder}: trained in {trained.seconds:.0f} s and calibrated.")
    places = f"--images {arguments.images} --manifest {arguments.manifest}"
    print(f"Measure it: ddad evaluate {arguments.name} {places} --weights {arguments.weights}")
    return 0


def _named(arguments: Namespace) -> Namespace:
    """The arguments, once the model's name is seen to be a plain one.

    Raises:
        TrainingError: There is a folder in it.
    """
    if Path(arguments.name).name != arguments.name:
        problem = f"--name is {arguments.name!r}; a model's name has no folder in it."
        raise TrainingError(problem, "Give a plain name, and the folder with --weights.")
    return arguments


def _check_choices(arguments: Namespace, by_place: bool) -> None:
    """Refuse a score or map that the model will not have, before it is trained.

    Raises:
        TrainingError: The option and what would be needed.
    """
    for option, name in (
        ("--primary", arguments.primary or ""),
        ("--default-map", arguments.default_map),
    ):
        if name in ("a_ratio", "ratio"):
            problem = f"{option} {name} needs A_ratio."
            raise TrainingError(problem, "Train it beside this model: --network ratio --beside.")
        if name.startswith("r_") and not arguments.refine:
            problem = f"{option} {name} needs a refinement."
            raise TrainingError(problem, "Add --refine.")
        if name.startswith("c_") and not by_place:
            problem = f"{option} {name} needs more calibration normals."
            raise TrainingError(problem, "Twenty are the least for maps calibrated by place.")
