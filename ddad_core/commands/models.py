"""`ddad models`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ddad_core.card import Card, estimate_from, list_cards
from ddad_core.errors import ModelError, UncalibratedError
from ddad_core.vocabulary import SCORE_TITLES


def run(arguments: Namespace) -> int:
    """`ddad models`."""
    for card in list_cards(arguments.weights):
        print(f"{card.name}: {card.title}")
        print(f"  population       {card.population.description}")
        print(
            f"  networks         {card.members} + {card.members} {card.network}, "
            f"{card.input_size} x {card.input_size}"
        )
        print(f"  operating point  {_operating_point(card)}")
        evaluation = card.raw.get("evaluation")
        if evaluation:
            n = f"{evaluation['n_normal']} normal + {evaluation['n_abnormal']} abnormal"
            print(f"  test part        {n}; AUC with 95 % CI")
            for name, title in SCORE_TITLES.items():
                if name in evaluation["auc"]:
                    print(f"    {title:36} {estimate_from(evaluation['auc'][name])}")
            print(f"  {evaluation['statement']}")
        else:
            print("  test part        not measured")
        print(f"  engine           {_engine(card, arguments.weights)}")
        print(f"  use              {card.raw['use']}")
    return 0


def _operating_point(card: Card) -> str:
    try:
        point = card.operating_point
    except UncalibratedError as error:
        return f"none: {error}"
    return (
        f"{point.score} >= {point.threshold:g}: {point.policy}; "
        f"flags {point.flagged} of {point.n}, rate {point.rate}"
    )


def _engine(card: Card, weights: Path) -> str:
    """What would run this model on this machine, and why, or why nothing would."""
    import torch

    from ddad_core.registry import load_model
    from ddad_core.scoring import Scorer

    try:
        scorer = Scorer(load_model(weights / card.name))
    except ModelError as error:
        return f"none: {error}"
    where = f"{torch.get_num_threads()} threads" if scorer.device.type == "cpu" else "CUDA"
    return f"{scorer.engine_name}, {where}; {scorer.engine_note}"
