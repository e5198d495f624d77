"""`ddad models`."""

from __future__ import annotations

from argparse import Namespace

from ddad_core.card import estimate_from, list_cards
from ddad_core.vocabulary import SCORE_TITLES


def run(arguments: Namespace) -> int:
    """`ddad models`."""
    for card in list_cards(arguments.weights):
        point = card.operating_point
        print(f"{card.name}: {card.title}")
        print(f"  population       {card.population.description}")
        print(
            f"  networks         {card.members} + {card.members} {card.network}, "
            f"{card.input_size} x {card.input_size}"
        )
        print(
            f"  operating point  {point.score} >= {point.threshold:g}: {point.policy}; "
            f"flags {point.flagged} of {point.n}, rate {point.rate}"
        )
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
        print(f"  use              {card.raw['use']}")
    return 0
