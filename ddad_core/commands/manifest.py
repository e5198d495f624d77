"""`ddad manifest`."""

from __future__ import annotations

from argparse import Namespace

from ddad_core.errors import RequestError


def run(arguments: Namespace) -> int:
    """`ddad manifest`."""
    from ddad_core.training import partition
    from ddad_core.training.manifest import save_manifest

    if arguments.kind == "nih":
        if arguments.labels is None:
            problem = "The NIH set needs its labels."
            raise RequestError(problem, "Give --labels labels.csv.")
        built = partition.build_nih(
            arguments.images,
            seed=arguments.seed,
            labels=arguments.labels,
            boxes=arguments.boxes,
            left_out=arguments.leave_out,
        )
    else:
        build = {"kermany": partition.build_kermany, "folder": partition.build_folder}
        built = build[arguments.kind](arguments.images, seed=arguments.seed)
    save_manifest(built, arguments.out)
    for role, counts in built.counts().items():
        print(f"{role:12} " + ", ".join(f"{n} {label}" for label, n in counts.items()))
    return 0
