"""The part of docs/results.md on A_ratio, from what ``benchmarks.ratio`` measured."""

from __future__ import annotations

from typing import Any

from benchmarks.serving import REPOSITORY
from ddad_core.card import list_cards
from ddad_core.vocabulary import SCORE_TITLES

COMMAND = "python -m benchmarks.ratio"


def ratio_part(found: dict[str, Any]) -> str:
    """Markdown of all parts that were measured."""
    intro = (
        f"Written by `{COMMAND} [PART...]`, given the images. AUC with 95 % interval, bootstrap "
        "stratified by class, 2000 samples. n: normal and abnormal images."
    )
    parts = [intro, _aims(found), _shortcuts()]
    for name, make in (
        ("choice", _choice),
        ("against", _against),
        ("sweep", _sweep),
        ("planted", _planted),
        ("source", _source),
        ("robustness", _robustness),
        ("place", _place),
        ("cost", _cost),
    ):
        if name in found:
            parts.append(make(found[name]))
    return "\n\n".join(parts)


def _estimate(values: dict[str, Any], form: str = ".3f") -> str:
    low, high = values["ci95"]
    return f"{values['value']:{form}} ({low:{form}} to {high:{form}})"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _met(whether: bool) -> str:
    return "met" if whether else "**missed**"


def _n(values: dict[str, Any]) -> str:
    return f"{values['n'][0]} + {values['n'][1]}"


def _title(name: str) -> str:
    return "combination without labels" if name == "combined" else SCORE_TITLES[name]


def _aims(found: dict[str, Any]) -> str:
    """Each aim that has been measured, with whether it is met."""
    rows = []

    def row(aim: str, measured: dict[str, Any] | None, least: float) -> None:
        if measured:
            rows.append([aim, _estimate(measured), _met(measured["value"] >= least)])

    against = found.get("against", {})
    children, adults = (against.get(name, {}) for name in ("kermany-ae-u-128", "nih-ae-u"))
    row("AUC, children, at least 0.98", children.get("auc", {}).get("a_ratio"), 0.98)
    row(
        "the same with 20 % abnormal in D_u, at least 0.93",
        found.get("sweep", {}).get("20%", {}).get("auc"),
        0.93,
    )
    row("AUC, adults, at least 0.82", adults.get("auc", {}).get("a_ratio"), 0.82)
    for view, auc in adults.get("within", {}).items():
        row(f"AUC, adults, {view} views only, at least 0.75", auc, 0.75)
    if "place" in found:
        gain = found["place"]["difference"]
        rows.append(
            ["pointing above A_inter's", _estimate(gain, "+.3f"), _met(gain["ci95"][0] > 0)]
        )
    if "planted" in found:
        rise = max(abs(value) for value in found["planted"]["rise"].values())
        rows.append(["a planted corner mark: below 0.1 SD", f"{rise:.4f}", _met(rise < 0.1)])
    if "cost" in found:
        share = found["cost"]["ratio_seconds"] / found["cost"]["ddad_seconds"]
        rows.append(["training: below a tenth of DDAD's", f"{share:.3f}", _met(share < 0.1)])
        for name, took in found["cost"]["scoring"].items():
            times = took["a_ratio"] / took["one_of_ddad"]
            aim = f"scoring: A_ratio no slower than one AE-U, `{name}`"
            rows.append([aim, f"{times:.2f} times as long", _met(times <= 1)])
    return "### Aims\n\n" + _table(["aim", "measured", ""], rows)


def _choice(found: dict[str, Any]) -> str:
    rows = [
        [f"`{model}`", _title(name), _estimate(auc), _n(values)]
        for model, values in found.items()
        for name, auc in values["auc"].items()
    ]
    return (
        "### On the validation part\n\nThe combination is the mean of the normal quantiles of "
        "A_inter's, A_intra's, R_dual's and A_ratio's p-values among the calibration normals.\n\n"
        + _table(["model", "score", "AUC", "n"], rows)
    )


def _against(found: dict[str, Any]) -> str:
    rows = []
    for model, values in found.items():
        for name, auc in values["auc"].items():
            rows.append([f"`{model}`", SCORE_TITLES[name], _estimate(auc), _n(values)])
        difference = f"{_estimate(values['difference'], '+.3f')}, p {_p(values['p_value'])}"
        rows.append([f"`{model}`", "A_ratio less A_inter, DeLong", difference, _n(values)])
        for view, auc in values["within"].items():
            rows.append([f"`{model}`", f"A_ratio, {view} views only", _estimate(auc), ""])
    return "### On the test part\n\n" + _table(["model", "score", "AUC", "n"], rows)


def _sweep(found: dict[str, Any]) -> str:
    rows = [
        [name, _estimate(v["auc"]), f"{v['held_apart']:.3f}", _p(v["p_value"])]
        for name, v in found.items()
        if name != "n"
    ]
    return (
        "### Anomaly rate of D_u\n\nKermany, 64 x 64, D_u of 400 images at every rate, 560 known "
        f"normals, K = 3; tested on {found['n'][0]} normal and {found['n'][1]} abnormal images. "
        "The two-sample test is that of every training: D_u against D_n, held-apart scores.\n\n"
        + _table(["abnormal in D_u", "AUC", "D_u told from D_n", "p"], rows)
    )


def _planted(found: dict[str, Any]) -> str:
    rise = ", ".join(f"{colour} {value:+.4f}" for colour, value in found["rise"].items())
    return (
        "### A planted mark\n\nA white square of an eighth of the side in the upper left corner of "
        f"half of D_u, in training. On {found['n']} calibration normals, such a mark moves the "
        f"mean score, in its standard deviation among them, by: {rise}. Aim: less than 0.1: "
        f"{_met(max(abs(v) for v in found['rise'].values()) < 0.1)}."
    )


def _source(found: dict[str, Any]) -> str:
    return (
        "### D_u of another hospital\n\nKnown normals of `kermany.csv` (children), D_u of "
        f"`nih-large.csv` (adults): held-apart AUC {found['held_apart']:.3f} for one against the "
        "other, and the children's pneumonias are told from their normals with "
        f"{_estimate(found['auc'])} ({_n(found)}). The two-sample test compares within views, of "
        f"which the children have none on record: p {_p(found['within_views'])}, so that such a "
        "model does not judge by A_ratio. Where views are alike or not recorded the test cannot "
        "know why two sets differ: D_n and D_u must come from the same place."
    )


def _robustness(found: dict[str, Any]) -> str:
    rows = [
        [
            f"`{model}`",
            change,
            *(
                f"{_estimate(values[name])}; {values[name]['rise']:+.2f} SD"
                for name in ("a_inter", "a_ratio")
            ),
        ]
        for model, changes in found.items()
        for change, values in changes.items()
    ]
    return (
        "### Changes that are no finding\n\nMade on the networks' input of every test image; the "
        "AUC under it, and by how much the mean score of the normals moves, in its standard "
        "deviation.\n\n" + _table(["model", "change", "A_inter", "A_ratio"], rows)
    )


def _place(found: dict[str, Any]) -> str:
    rows = [
        [SCORE_TITLES[f"a_{name}"], _estimate(auc), _estimate(found["pixel_auc"][name])]
        for name, auc in found["pointing"].items()
    ]
    rows.append(["A_ratio less A_inter, paired", _estimate(found["difference"], "+.3f"), ""])
    rows.append(["chance", f"{found['chance']:.3f}", "0.500"])
    fields = [
        [
            f"{seen} of 64 pixels",
            f"{values['held_apart']:.3f}",
            _estimate(values["auc"]),
            _estimate(values["pointing"]),
            _estimate(values["pixel_auc"]),
        ]
        for seen, values in found["by_field"].items()
        if seen != "n"
    ]
    low, high = found["difference"]["ci95"]
    above = "met" if low > 0 else "**missed**: the interval holds 0" if high > 0 else "**missed**"
    return (
        f"### Where it points\n\n`nih-ae-u` on {found['n']} images with radiologists' boxes, of "
        "patients it never saw; the difference by bootstrap over images. Aim: pointing above "
        f"A_inter's: {above}.\n\n"
        + _table(["map", "highest point in a box", "pixel AUC"], rows)
        + "\n\nField against place: networks of 1 to 4 residual blocks, K = 3, 20 epochs, "
        "trained on `nih-large.csv`; AUC on its calibration and validation images "
        f"({_n(found['by_field'])}), which no network saw.\n\n"
        + _table(
            ["a place sees", "D_u told from D_n", "AUC", "highest point in a box", "pixel AUC"],
            fields,
        )
    )


def _cost(found: dict[str, Any]) -> str:
    share = found["ratio_seconds"] / found["ddad_seconds"]
    rows = [
        [
            "Training, seconds of one core: A_ratio against DDAD",
            f"under a tenth: {_met(share < 0.1)}",
            f"{found['ratio_seconds']:.0f} against {found['ddad_seconds']:.0f}: {share:.3f}",
        ]
    ]
    for name, took in found["scoring"].items():
        what = f"Scoring an image, `{name}` ({took['size']} pixels): A_ratio against one AE-U"
        rows.append(
            [
                f"{what}, all {took['members']} networks",
                f"no slower: {_met(took['a_ratio'] <= took['one_of_ddad'])}",
                f"{took['a_ratio']:.2f} against {took['one_of_ddad']:.2f} ms",
            ]
        )
        times = f"{took['one_of_a_ratio']:.2f} against {took['one_of_ddad']:.2f} ms"
        rows.append([f"{what}, one network", "none", times])
    return (
        "### Cost\n\nOne thread, time of the processor, in turns, one process. Training: "
        "Kermany, 64 x 64, K = 3, 15 epochs, measured whole; DDAD's is its median step times the "
        "steps of 250 epochs of six networks. Scoring: in a batch of 64.\n\n"
        + _table(["figure", "aim", "measured"], rows)
    )


def _shortcuts() -> str:
    rows = []
    for card in list_cards(REPOSITORY / "weights"):
        section = card.raw.get("ratio") or {}
        report = section.get("shortcuts")
        if not report:
            continue
        name = f"`{card.name}`"
        rows.append([name, "two-sample test", section["statement"]])
        matched = ", ".join(report["matched_on"]) or "nothing is recorded"
        rows.append([name, "D_n weighted to D_u on", matched])
        rows += [
            [
                name,
                f"D_u told from D_n within {stratum}, held apart",
                f"{_estimate(v)}; {v['n_normal']} + {v['n_unlabeled']}",
            ]
            for stratum, v in report["auc_of_unlabeled_within"].items()
        ]
        place = report["evidence"]
        rows.append(
            [
                name,
                "share of D_u's excess evidence in the middle",
                f"{place['share_of_middle']:.2f} on {place['area_of_middle']:.2f} of the area",
            ]
        )
        mark = report["planted_mark"]
        said = ", ".join(f"{colour} {value:+.3f} SD" for colour, value in mark.items())
        rows.append([name, "a corner mark moves the normals by", said])
    return "### Shortcut reports of the cards\n\n" + _table(["model", "what", "found"], rows)
