"""A report's values as Markdown: for report.md, and for the project's page of results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ddad_core.experiments.published import TITLES
from ddad_core.vocabulary import SCORE_TITLES

Report = Mapping[str, Any]
Rows = list[list[str]]
NETWORK_TITLES = {"ae": "AE", "memae": "MemAE", "ae-u": "AE-U"}


def render(report: Report) -> str:
    """The whole of report.md."""
    data, found = report["data"], report["figures"]
    parts = [
        f"# {report['title']}",
        f"**{report['statement']}**",
        _facts(population_facts(report)),
        "## Networks and scores",
        table_caption(report),
        grid_table(report),
        found["intervals"],
        "## A_inter and R_dual against reconstruction error",
        tests_caption(),
        tests_table(report),
        *(part for sweep in found["sweeps"] for part in sweep_part(report, sweep)),
        "## Published figures" + ("" if data["partition"] else ", other data"),
        published_part(report),
        "## How it was made",
        _facts(provenance_facts(report)),
        markdown_table(*cell_rows(report)),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return markdown_table(("", ""), facts)


def interval(found: Mapping[str, Any] | None, form: str = ".3f") -> str:
    """A value with its interval."""
    if found is None:
        return "–"
    low, high = found["ci95"]
    return f"{found['value']:{form}} ({low:{form}} to {high:{form}})"


def spread(found: Mapping[str, Any]) -> str:
    """Mean and standard deviation over seeds."""
    if found["sd"] is None:
        return f"{found['mean']:.3f}"
    return f"{found['mean']:.3f} ± {found['sd']:.3f}"


def p_value(p: float) -> str:
    """A p-value as it is written."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def population_facts(report: Report) -> list[tuple[str, str]]:
    """What was measured on."""
    data = report["data"]
    counts = {role: sum(parts.values()) for role, parts in data["counts"].items()}
    rate = data["anomaly_rate"]
    share = "unknown" if rate is None else f"{rate:.0%}"
    return [
        ("Data", f"{data['title']} (`{data['manifest']}`)"),
        ("Population", data["population"]),
        ("Abnormal means", data["abnormal_means"]),
        ("Source", data["source"]),
        ("Licence", data["licence"]),
        (
            "Trained on",
            f"{counts['normal']} known normal (D_n) and {counts['unlabeled']} unlabelled images "
            f"(D_u), of which abnormal: {share}",
        ),
        ("Thresholds from", f"{counts['calibration']} calibration normals"),
        (
            "Tested on",
            f"{data['n_normal']} normal and {data['n_abnormal']} abnormal images, scored once, "
            "after training; nothing was chosen on them",
        ),
    ]


def table_caption(report: Report) -> str:
    """What the table shows."""
    found, training = report["figures"], report["settings"]["training"]
    seeds = report["settings"]["seeds"]
    first = f"Intervals: seed {found['first_seed']}."
    over = f" Mean ± standard deviation: {len(seeds)} seeds." if len(seeds) > 1 else " One seed."
    return (
        f"K = {training['members']}, {training['size']} x {training['size']} pixels, "
        f"{training['epochs']} epochs. {first}{over} \"Threshold\": the one that lets "
        f"{found['specificity']:.0%} of the calibration normals pass."
    )  # fmt: skip


def grid_rows(report: Report) -> tuple[list[str], Rows]:
    """Header and rows of the table networks x scores."""
    found = report["figures"]
    many = len(report["settings"]["seeds"]) > 1
    beside = report["published"]["beside"]
    titles = ("AUC", "Average precision", f"Sensitivity at {found['specificity']:.0%} specificity")
    names = ("auc", "average_precision", "sensitivity")
    header = ["Network", "Score"]
    for title in titles:
        header += [title, "mean ± SD"] if many else [title]
    header += ["Sensitivity at the threshold", "Specificity at the threshold"]
    header += ["Published AUC"] if beside else []
    rows: Rows = []
    for row in found["table"]:
        first = row["seeds"][str(found["first_seed"])]
        cells = [NETWORK_TITLES[row["network"]], row["title"]]
        for name in names:
            cells += [interval(first[name])] + ([spread(row["spread"][name])] if many else [])
        cells += [interval(first["at_threshold"][name]) for name in ("sensitivity", "specificity")]
        if beside:
            said = report["published"]["auc"][beside][row["network"]].get(row["score"])
            cells.append(_said(said))
        rows.append(cells)
    return header, rows


def _said(value: float | None) -> str:
    """A published figure with the digits it was published with, three at least."""
    if value is None:
        return "–"
    return f"{value:.3f}" if round(value, 3) == value else f"{value:g}"


def grid_table(report: Report) -> str:
    """The table networks x scores."""
    return markdown_table(*grid_rows(report))


def tests_caption() -> str:
    """What the paired tests are."""
    return (
        "DeLong's test for two AUCs of the same images, two-sided, not corrected for the number "
        "of tests; the difference with its 95 % interval."
    )


def tests_rows(report: Report) -> tuple[list[str], Rows]:
    """Header and rows of the paired tests."""
    header = ["Network", "Seed", "Score", "Against", "Difference of the AUCs", "p"]
    rows = [
        [
            NETWORK_TITLES[test["network"]],
            str(test["seed"]),
            SCORE_TITLES[test["score"]],
            SCORE_TITLES[test["against"]],
            interval(test["difference"], "+.3f"),
            p_value(test["p_value"]),
        ]
        for test in report["figures"]["tests"]
    ]
    return header, rows


def tests_table(report: Report) -> str:
    """The paired tests."""
    return markdown_table(*tests_rows(report))


def sweep_title(sweep: Mapping[str, Any]) -> str:
    """Heading of a sweep."""
    what = "Anomaly rate of D_u" if sweep["name"] == "anomaly_rate" else "Size of D_u"
    return f"{what}, {NETWORK_TITLES[sweep['network']]}"


def sweep_caption(sweep: Mapping[str, Any]) -> str:
    """What a sweep shows."""
    points = sweep["points"]
    if sweep["name"] == "anomaly_rate":
        fixed = f"D_u of {points[0]['size']} images at every rate."
    else:
        rate = next((p["anomaly_rate"] for p in points if p["size"]), None)
        fixed = "" if rate is None else f"Anomaly rate {rate:.0%} at every size."
        if any(not point["size"] for point in points):
            fixed += " With no D_u, A and B are two ensembles of the same known normal images."
    seeds = sweep["seeds"]
    over = f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
    return f"AUC. {fixed} {sweep['epochs']} epochs, {over}; intervals: seed {seeds[0]}.".strip()


def sweep_rows(report: Report, sweep: Mapping[str, Any]) -> tuple[list[str], Rows]:
    """Header and rows of a sweep: AUC by point and score."""
    many = len(sweep["seeds"]) > 1
    by_rate = sweep["name"] == "anomaly_rate"
    beside = report["published"]["beside"]
    said = report["published"]["rates"].get(beside, {}).get(sweep["network"]) if by_rate else None
    header = ["Anomaly rate" if by_rate else "Images in D_u"]
    for row in sweep["points"][0]["scores"]:
        header += [row["title"], "mean ± SD"] if many else [row["title"]]
    header += ["A_inter, published (4000 images)"] if said else []
    rows: Rows = []
    for point in sweep["points"]:
        cells = [f"{point['anomaly_rate']:.0%}" if by_rate else str(point["size"])]
        for row in point["scores"]:
            cells.append(interval(row["seeds"][str(sweep["seeds"][0])]["auc"]))
            cells += [spread(row["spread"]["auc"])] if many else []
        if said:
            cells.append(_said(said.get(f"{point['anomaly_rate']:g}")))
        rows.append(cells)
    return header, rows


def sweep_part(report: Report, sweep: Mapping[str, Any], level: str = "##") -> list[str]:
    """Heading, caption and table of a sweep."""
    return [
        f"{level} {sweep_title(sweep)}",
        sweep_caption(sweep),
        markdown_table(*sweep_rows(report, sweep)),
    ]


def published_caption(report: Report) -> str:
    """How the published figures may be read."""
    source = f"Source: {report['published']['source']}."
    if report["published"]["beside"]:
        return f"The authors' own figures on this partition stand in the table above. {source}"
    return (
        "Other data and another protocol: none of these figures can be set against those above. "
        f"They show what the method reached where its authors measured it. {source}"
    )


def published_rows(report: Report) -> tuple[list[str], Rows]:
    """Header and rows of the published AUCs."""
    published = report["published"]["auc"]
    header = ["Published AUC, other data" if not report["published"]["beside"] else "Published AUC"]
    columns = [(data, network) for data in published for network in published[data]]
    header += [f"{TITLES[data]} {NETWORK_TITLES[network]}" for data, network in columns]
    scores = published["rsna"]["ae"]
    rows = [
        [SCORE_TITLES[s], *(_said(published[data][network][s]) for data, network in columns)]
        for s in scores
    ]
    return header, rows


def published_part(report: Report) -> str:
    """Caption and table of the published figures."""
    return f"{published_caption(report)}\n\n{markdown_table(*published_rows(report))}"


def provenance_facts(report: Report) -> list[tuple[str, str]]:
    """Hardware, time, versions, hashes."""
    made = report["provenance"]
    machine = made["hardware"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    facts = [
        ("Command", f"`{made['command']}`"),
        ("Written", report["created"]),
        ("Hardware", f"{machine['cpu']}, {machine['cores']} cores{gpu}; {machine['system']}"),
        ("Time of training, all cells", f"{made['seconds']:.0f} s"),
        ("Versions", ", ".join(f"{name} {v}" for name, v in made["versions"].items())),
        ("SHA-256 of the configuration", f"`{made['config_sha256']}`"),
        ("SHA-256 of the manifest", f"`{made['manifest_sha256']}`"),
        ("SHA-256 of the code", f"`{made['source_sha256']}`"),
    ]
    if made["pool_sha256"]:
        facts.insert(-1, ("SHA-256 of the pool of D_u", f"`{made['pool_sha256']}`"))
    if not made["one_state_of_the_code"]:
        facts.append(("Note", "Some cells were trained by an earlier state of the code."))
    return facts


def cell_rows(report: Report) -> tuple[list[str], Rows]:
    """Header and rows of the cells."""
    header = ["Network", "Seed", "D_u", "Abnormal", "Epochs", "Time"]
    header.append("SHA-256 of the weights, first 12 digits")
    rows = [
        [
            NETWORK_TITLES[cell["network"]],
            str(cell["seed"]),
            str(cell["unlabeled"]),
            "–" if cell["anomaly_rate"] is None else f"{cell['anomaly_rate']:.0%}",
            str(cell["epochs"]),
            f"{cell['seconds']:.0f} s",
            ", ".join(f"`{d[:12]}`" for d in cell["weights_sha256"].values()),
        ]
        for cell in report["cells"]
    ]
    return header, rows
