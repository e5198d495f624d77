"""`python -m benchmarks.model_table`: the models' figures in docs/results.md, from their cards.

Nothing is measured here: each card states what `ddad evaluate` found, and the command for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.page import write_part
from benchmarks.serving import REPOSITORY
from ddad_core.card import Card, list_cards
from ddad_core.vocabulary import SCORE_TITLES

COMMAND = "python -m benchmarks.model_table"

OTHERS = """### Others' figures, for orientation

**Other data and other protocols: none of these figures can be set against those above.** They
show what the method and its neighbours reach where their authors measured them.

DDAD with AE-U as published (Cai et al., MICCAI 2022; D_u of 4000 images at an anomaly rate of 60 %;
AUC on 1000 normal and 1000 abnormal images of each set):

| published score, AE-U | RSNA | VinBigData |
| --- | --- | --- |
| A_rec | 0.867 | 0.738 |
| A_rec (ensemble) | 0.866 | 0.731 |
| A_intra | 0.873 | 0.743 |
| A_inter | 0.910 | 0.859 |

Other methods, as others published them, on the official ZhangLab / Kermany test part (234 normal,
390 abnormal; the model above was tested on another part, cut from the official training half):

| published method | AUC |
| --- | --- |
| MemAE | 0.778 |
| IF-2D | 0.810 |
| SALAD | 0.827 |
| SQUID | 0.876 |
| AnatPaste | 0.921 |
"""


def models_part() -> str:
    cards = sorted(list_cards(REPOSITORY / "weights"), key=_rank)
    intro = (
        "Each figure is read from the model's `card.json`, where `ddad evaluate` wrote it; the "
        "command below each table measures it again, given the data set's images. In brackets: "
        f"95 % intervals. This part is rewritten by `{COMMAND}`.\n"
    )
    return "\n".join([intro, *_overview(cards), *(_model(card) for card in cards), OTHERS])


def _rank(card: Card) -> tuple[str, float]:
    """By data set, the best primary score on the test part first."""
    evaluation = card.raw.get("evaluation")
    auc = evaluation["auc"][card.primary]["value"] if evaluation else 0.0
    return card.raw["data"]["source"], -auc


def _overview(cards: Sequence[Card]) -> list[str]:
    """What each model is judged by, beside the published scores of the same model."""
    shown = ("a_ratio", "a_inter", "a_intra", "a_rec")
    heads = ["model", "data", "judged by", *(f"AUC, {SCORE_TITLES[name]}" for name in shown)]
    rows = [
        [
            f"`{card.name}`",
            card.raw["data"]["title"],
            SCORE_TITLES[card.primary],
            *(
                _interval(card.raw["evaluation"]["auc"][name])
                if name in card.raw["evaluation"]["auc"]
                else "not trained"
                for name in shown
            ),
        ]
        for card in cards
        if card.raw.get("evaluation")
    ]
    table = [heads, ["---"] * len(heads), *rows]
    return [
        "Of each data set the model that does best comes first. A_ratio is what this project adds; "
        "A_inter, A_intra and A_rec are the published scores.",
        "",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
    ]


def _model(card: Card) -> str:
    raw = card.raw
    lines = [f"### {card.title}", ""]
    evaluation = raw.get("evaluation")
    if evaluation:
        lines += [f"**{evaluation['statement']}**", ""]
    lines += ["| | figure |", "| --- | --- |"]
    rows = [*_origin(card), *(_measured(card, evaluation) if evaluation else [])]
    lines += [f"| {name} | {value} |" for name, value in rows]
    if evaluation:
        note = f"AUC intervals: {evaluation['interval']}. Rates: Clopper-Pearson."
        lines += ["", note, "", f"To reproduce: `{evaluation['command']}`", ""]
    else:
        lines += ["", "Not measured on test images.", ""]
    return "\n".join([*lines, *_familiarity(raw.get("familiarity") or {})])


def _familiarity(section: dict[str, Any]) -> list[str]:
    rates = section.get("rates")
    if not rates:
        return []
    rows = [
        *((f"False alarms: {name}", found) for name, found in rates["false_alarms"].items()),
        *((f"Warned about: {kind}", found) for kind, found in rates["caught"].items()),
    ]
    lines = ["| pictures called unlike, lateral, inverted or turned | share |", "| --- | --- |"]
    for name, found in rows:
        named = f"; {found['named']} by name" if "named" in found else ""
        count = f"{found['warned']} of {found['n']}{named}"
        lines.append(f"| {name} | {_interval(found)}, {count} |")
    return [*lines, "", f"To reproduce: `{section['command']}`", ""]


def _origin(card: Card) -> list[tuple[str, str]]:
    data, training = card.raw["data"], card.raw["training"]
    point = card.operating_point
    rate = card.raw["operating_point"]["rate"]
    counts = data["counts"]
    used = ", ".join(
        f"{sum(counts[role].values())} {words}"
        for role, words in (
            ("normal", "known normal (D_n)"),
            ("unlabeled", "unlabelled (D_u)"),
            ("calibration", "calibration normals"),
        )
    )
    return [
        (
            "Model",
            f"`{card.name}`: {card.network.upper()}, K = {card.members}, "
            + f"{card.input_size} x {card.input_size}",
        ),
        ("Data", f"{data['title']}; {data['licence']}"),
        ("Made for", card.population.description),
        ("Abnormal means", data["abnormal_means"]),
        ("Trained and calibrated on", f"{used}; anomaly rate of D_u {data['anomaly_rate']:.0%}"),
        (
            "Training",
            f"{training['epochs']} epochs, {training['seconds']:.0f} s on "
            f"{training['hardware']}, seed {training['seed']}",
        ),
        *_ratio(card.raw.get("ratio") or {}),
        (
            "Operating point",
            f"{SCORE_TITLES[point.score]} ≥ {point.threshold:.4g}; "
            f"{point.policy[0].lower()}{point.policy[1:]}",
        ),
        (
            "Share of the calibration normals it flags",
            f"{_interval(rate)}, {point.flagged} of {point.n}",
        ),
    ]


def _ratio(section: dict[str, Any]) -> list[tuple[str, str]]:
    training = section.get("training")
    if not training:
        return []
    counts = section["counts"]
    normal, unlabeled = (sum(counts[role].values()) for role in ("normal", "unlabeled"))
    return [
        (
            "A_ratio",
            f"K = {training['members']}, {training['epochs']} epochs on `{section['manifest']}`: "
            f"{normal} known normal, {unlabeled} unlabelled; {section['statement']}",
        )
    ]


def _measured(card: Card, evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    auc, point = evaluation["auc"], evaluation["at_operating_point"]
    counts = point["counts"]
    normal, abnormal = evaluation["n_normal"], evaluation["n_abnormal"]
    within = evaluation["auc_within"]
    by_view = [
        (
            f"AUC, {SCORE_TITLES[card.primary]}, {view} views only",
            f"{_interval(found)}, {found['n_normal']} normal and {found['n_abnormal']} abnormal",
        )
        for view, found in within.items()
    ]
    return [
        ("Test part", f"{normal} normal and {abnormal} abnormal, patients apart from training"),
        *_by_score("AUC", auc),
        *_by_score("Average precision", evaluation.get("average_precision", {})),
        *_by_score(
            "Sensitivity at specificity 0.9", evaluation.get("sensitivity_at_specificity_90", {})
        ),
        ("A_inter less A_rec (ensemble)", _interval(evaluation["auc_inter_minus_rec"], "+.3f")),
        *(
            (
                f"{SCORE_TITLES[name]} less A_rec (ensemble), DeLong",
                f"{_interval(found['auc_minus_rec'], '+.3f')}, p {_p_value(found['p_value'])}",
            )
            for name, found in evaluation.get("delong", {}).items()
        ),
        *(by_view or [("AUC within views", "the data set does not say the views")]),
        (
            "Sensitivity at the operating point",
            f"{_interval(point['sensitivity'])}, {counts['true_positive']} of {abnormal}",
        ),
        (
            "Specificity at the operating point",
            f"{_interval(point['specificity'])}, {counts['true_negative']} of {normal}",
        ),
    ]


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _by_score(figure: str, found: dict[str, Any]) -> list[tuple[str, str]]:
    """One row a score that the card states the figure for; older cards state the AUC alone."""
    return [
        (f"{figure}, {title}", _interval(found[name]))
        for name, title in SCORE_TITLES.items()
        if name in found
    ]


def _interval(found: dict[str, Any], form: str = ".3f") -> str:
    low, high = found["ci95"]
    return f"{found['value']:{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    write_part("models", models_part())
