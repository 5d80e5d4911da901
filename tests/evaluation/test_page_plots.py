"""What stands in the plots of report.html and in success.png: read from matplotlib's own objects."""

import pytest
from complete_runs import PRIMED, complete, without
from matplotlib.collections import LineCollection
from recorded import outcomes, perfect, run

from parley.evaluation.records import EpisodeRecord
from parley.evaluation.reporting import cells, figures, rows
from parley.evaluation.results import build_results


@pytest.fixture
def drawn(monkeypatch):
    """The axes of what is drawn, and what it is called."""
    kept = []

    def keep(figure, *, prefix, label):
        kept.append((figure.axes[0], label))
        return f"<svg id='{prefix}'/>"

    monkeypatch.setattr(rows, "inline_svg", keep)
    return kept


@pytest.fixture
def picture(monkeypatch):
    """Draw success.png and hand back its figure."""
    kept = []

    def keep(figure):
        kept.append(figure)
        return b""

    monkeypatch.setattr(figures, "as_png", keep)

    def draw(results):
        figures.success_picture(results)
        return kept[-1]

    return draw


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def intervals_and_dots(axes):
    """(low, high) and (rate, marker) in the order in which they were drawn."""
    lines = [(line.get_xdata(), line.get_marker()) for line in axes.lines]
    intervals = [tuple(x) for x, _ in lines if len(x) == 2]
    return intervals, [(x[0], marker) for x, marker in lines if len(x) == 1]


def words(axes):
    return [text.get_text() for text in axes.texts]


def references(axes):
    """Where single lines cross a group: all but grid and band."""
    segments = [c.get_segments() for c in axes.collections if isinstance(c, LineCollection)]
    return {round(float(lines[0][0][0]), 6) for lines in segments if len(lines) == 1}


def test_dots_and_intervals_are_the_numbers_of_the_table(drawn):
    results = build_results(complete(), {})
    figures.success_plot(results)
    channel, silence = results["channels"]["latent_vq"], results["channels"]["silence"]
    rows = list(channel["conditions"].values())
    rows += [channel["swap_consistency"], silence["conditions"]["normal"]]
    for axes, label in drawn:
        intervals, dots = intervals_and_dots(axes)
        assert intervals == [(row["ci_low"], row["ci_high"]) for row in rows]
        assert dots == list(zip((row["rate"] for row in rows), "os^<vXDo", strict=True))
        assert label.startswith("Plot of success by channel and condition with 95% Wilson intervals.")
        percents = [word for word in words(axes) if word.endswith("%")]
        assert percents == [cells.percent(row["rate"]) for row in [*rows[:6], rows[7]]]
    assert len(drawn) == 2


def test_rows_stand_one_below_the_other(drawn):
    figures.success_plot(build_results(complete(), {}))
    for axes, _ in drawn:
        heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        assert heights[5] == heights[6], "the swap row has two dots"
        assert heights == sorted(heights)
        assert axes.get_ylim()[0] > axes.get_ylim()[1], "from the top"
        assert max(heights) < axes.get_ylim()[0]


def test_chance_floor_and_text_are_lines_where_they_are_known(drawn):
    text = list(outcomes("text", "normal", 57, 60))
    figures.success_plot(build_results([*complete(), *text], {}))
    assert all(references(axes) >= {0.2, 0.3, 0.95} for axes, _ in drawn)
    drawn.clear()
    figures.success_plot(build_results(without(run(40, normal=30), "num_candidates"), {}))
    assert all(references(axes) == {0.3} for axes, _ in drawn)


def test_what_was_not_played_is_a_dash_without_a_dot(drawn):
    figures.success_plot(build_results(run(40, normal=30), {}))
    for axes, _ in drawn:
        assert words(axes).count("–") == 5
        assert len(intervals_and_dots(axes)[1]) == 1


def test_differences_stand_about_zero(drawn):
    results = build_results([*complete(), *complete(PRIMED, channel="other")[:-60]], {})
    assert figures.differences_plot(results) is not None
    found = [d for channel in results["channels"].values() for d in channel["differences"].values()]
    assert min(d["ci_low"] for d in found) < 0
    for axes, label in drawn:
        intervals, dots = intervals_and_dots(axes)
        assert intervals == [(d["ci_low"], d["ci_high"]) for d in found]
        assert [rate for rate, _ in dots] == [d["difference"] for d in found]
        assert 0 in references(axes)
        low, high = axes.get_xlim()
        assert low <= min(d["ci_low"] for d in found)
        assert high == 1
        assert "Newcombe" in label


def test_without_controls_there_are_no_differences(drawn):
    assert figures.differences_plot(build_results(run(40, normal=30), {})) is None
    assert drawn == []


def test_the_worst_channel_still_fits(drawn):
    figures.differences_plot(build_results(run(40, normal=0, null=40), {}))
    for axes, _ in drawn:
        assert axes.get_xlim()[0] == -1


def test_the_picture_has_the_page_s_plot_and_a_key_to_its_lines(drawn, picture):
    results = build_results([*complete(), *outcomes("text", "normal", 57, 60)], {})
    figures.success_plot(results)
    figure = picture(results)
    assert intervals_and_dots(figure.axes[0]) == intervals_and_dots(drawn[0][0])
    assert [text.get_text() for text in figure.texts] == [f"Gate 1: {results['verdict']}"]
    assert legend(figure) == [
        "the floor asked of normal, 30.0%",
        "chance, 1/5",
        "text ceiling, 95.0%",
        "P0, silence (95% interval)",
        "picks what the swapped message names",
    ]
    assert legend(picture(build_results(without(run(40, normal=30), "num_candidates"), {}))) == [
        "the floor asked of normal, 30.0%",
        "picks what the swapped message names",
    ]


def test_the_key_stands_below_the_plot_and_within_its_width(picture):
    figure = picture(build_results(complete(), {}))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.y1 < min(label.get_window_extent().y0 for label in figure.axes[0].get_xticklabels())
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_an_untrained_channel_that_played_normal_alone_is_left_out(picture):
    idle = [
        EpisodeRecord(channel="kv", condition="normal", episode_id=i, success=False, role="untrained")
        for i in range(100)
    ]
    assert "kv" not in words(picture(build_results([*perfect(100), *idle], {})).axes[0])
    assert words(picture(build_results(idle, {})).axes[0])[0] == "kv"


def test_a_name_is_written_as_it_is(picture):
    records = [*perfect(40), *outcomes("a_third_party_$x_$channel", "normal", 1, 40)]
    assert "a_third_party_$x_$channel" in words(picture(build_results(records, {})).axes[0])
    text = picture(build_results(records, {})).axes[0].texts[0]
    assert not text.get_parse_math()
