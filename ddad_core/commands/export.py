"""`ddad export`."""

from __future__ import annotations

from argparse import Namespace


def run(arguments: Namespace) -> int:
    """`ddad export`."""
    from ddad_core.export import export_onnx
    from ddad_core.inference.parity import TOLERANCE
    from ddad_core.registry import load_model

    done = export_onnx(load_model(arguments.weights / arguments.model), arguments.onnx)
    print(
        f"{done.path}: {done.size / 1e6:.0f} MB; ONNX Runtime's scores of {done.images} made-up "
        f"images are within {done.difference:.0e} of the model's own (limit {TOLERANCE:.0e})"
    )
    return 0
