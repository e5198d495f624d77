from __future__ import annotations

import numpy as np
import pytest

from app.ui.charts import histogram_figure


@pytest.mark.parametrize(("cases", "step"), [(1, 1), (5, 1), (6, None), (60, None)])
def test_few_cases_are_counted_in_whole_numbers(cases: int, step: int | None) -> None:
    none = np.array([])
    figure = histogram_figure(
        normal=none,
        abnormal=none,
        unlabelled=np.full(cases, 0.5),
        threshold=-0.2,
        score_title="A_inter, calibrated by place",
    )
    assert figure.layout.yaxis.dtick == step
    assert max(figure.data[0].y) == cases
