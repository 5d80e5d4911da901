"""What stands in the picture: read from matplotlib's own objects."""

from itertools import pairwise

import pytest
from complete_runs import without
from matplotlib.figure import Figure
from recorded import outcomes, perfect, run

from parley.evaluation.records import EpisodeRecord
from parley.evaluation.reporting import chart
from parley.evaluation.results import build_results


@pytest.fixture
def drawn(monkeypatch):
    """Draw results and hand back the figure."""
    figures = []

    class Kept(Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(chart, "Figure", Kept)

    def draw(results):
        chart.draw_success(results)
        return figures[-1]

    return draw


def bars(figure):
    return [round(patch.get_height(), 6) for box in figure.axes[0].containers
            if hasattr(box, "patches") for patch in box.patches]  # fmt: skip


def intervals(figure):
    return [tuple(collection.get_segments()[0][:, 1].round(6)) for collection in figure.axes[0].collections]


def test_every_bar_and_interval_is_a_number_of_the_table(drawn):
    results = build_results(perfect(40), {"num_candidates": 5})
    figure = drawn(results)
    rows = [row for channel in results["channels"].values() for row in channel["conditions"].values()]
    assert bars(figure) == [round(row["rate"], 6) for row in rows]
    assert intervals(figure) == [(round(row["ci_low"], 6), round(row["ci_high"], 6)) for row in rows]


def test_chance_and_p0_are_drawn_where_they_are_known(drawn):
    axes = drawn(build_results(perfect(40), {"num_candidates": 5})).axes[0]
    assert [line.get_ydata()[0] for line in axes.lines if line.get_label() == "chance, 1/5"] == [0.2]
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert legend == [
        "normal", "null", "random", "shuffle", "swap", "P0, silence (95% interval)", "chance, 1/5"
    ]  # fmt: skip
    bare = drawn(build_results(without(run(40, normal=30), "num_candidates"), {}))
    assert [text.get_text() for text in bare.legends[0].get_texts()] == legend[:5]


def test_a_condition_that_was_not_played_is_a_dash_and_no_bar(drawn):
    figure = drawn(build_results(run(40, normal=30, swap=0), {}))
    assert bars(figure) == [0.75, 0.0]
    assert [text.get_text() for text in figure.axes[0].texts].count("–") == 3


def test_labels_name_channel_gate_and_bits(drawn):
    latent = [
        EpisodeRecord(
            channel="latent", condition=condition, episode_id=i, success=True, bits=96, role="untrained"
        )
        for i in range(100)
        for condition in ("normal", "null")
    ]
    named = outcomes("a_third_party_$x_$channel", "normal", 1, 100)
    figure = drawn(build_results([*perfect(100), *latent, *named], {}))
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == [
        "a_third_party_$x\n_$channel\nfail",
        "latent\nuntrained\n96 bits",
        "latent_vq\npass",
        "silence\nbaseline",
    ]


def test_no_label_touches_another(drawn):
    names = [f"a_channel_number_{index}" for index in range(9)]
    records = [record for name in names for record in outcomes(name, "normal", 20, 40)]
    figure = drawn(build_results(records, {}))
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert figure.legends[0].get_window_extent().y1 < min(box.y0 for box in boxes)


def test_the_legend_stands_inside_the_picture(drawn):
    figure = drawn(build_results([*perfect(40)], {"num_candidates": 5}))
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width


def test_an_untrained_channel_that_played_normal_alone_is_left_out(drawn):
    idle = [
        EpisodeRecord(channel="kv", condition="normal", episode_id=i, success=False, role="untrained")
        for i in range(100)
    ]
    figure = drawn(build_results([*perfect(100), *idle], {}))
    assert not any("kv" in label.get_text() for label in figure.axes[0].get_xticklabels())
    assert drawn(build_results(idle, {})).axes[0].get_xticklabels()[0].get_text().startswith("kv")
