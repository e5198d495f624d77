"""`ddad render`."""

from __future__ import annotations

from argparse import Namespace

from ddad_core.card import choose_card, list_cards, load_card
from ddad_core.errors import RequestError
from ddad_core.vocabulary import MAP_TITLES


def run(arguments: Namespace) -> int:
    """`ddad render`."""
    import cv2

    from ddad_core.imaging import read_radiograph_file
    from ddad_core.overlay import render_overlay
    from ddad_core.registry import load_model
    from ddad_core.scoring import Scorer

    if not arguments.file.is_file():
        problem = f"There is no file {arguments.file}."
        raise RequestError(problem, "Check the path.")
    radiograph = read_radiograph_file(arguments.file)
    if arguments.model:
        card = load_card(arguments.weights / arguments.model)
    else:
        card = choose_card(list_cards(arguments.weights), radiograph.facts.age_years)
    scorer = Scorer(load_model(arguments.weights / card.name), arguments.device)
    result = scorer.score(radiograph)
    name = arguments.map or card.default_map
    if name not in card.maps:
        problem = f"{card.name} has no map {name}."
        raise RequestError(problem, f"It has: {', '.join(card.maps)}.")
    display = card.maps[name]
    picture = render_overlay(
        radiograph,
        result.maps[name],
        threshold=display.threshold,
        maximum=display.maximum,
    )
    done, data = cv2.imencode(".png", picture[:, :, ::-1])
    assert done
    try:
        arguments.out.write_bytes(data.tobytes())
    except OSError as error:
        problem = f"{arguments.out} cannot be written: {error.strerror}."
        raise RequestError(problem, "Give another --out.") from error
    print(
        f"{arguments.out}: {MAP_TITLES[name]} by {card.name}, painted from "
        f"{display.threshold:g} {display.unit}; {card.primary} {result.score:.4g}, percentile "
        f"{result.percentile:.0f} among {card.operating_point.n} calibration normals"
    )
    return 0
