"""What stands in the plots of report.html: read from matplotlib's own objects."""

import pytest
from complete_runs import PRIMED, complete, without
from matplotlib.collections import LineCollection
from recorded import outcomes, run

from parley.evaluation.reporting import cells, figures
from parley.evaluation.results import build_results


@pytest.fixture
def drawn(monkeypatch):
    """The axes of what is drawn, and what it is called."""
    kept = []

    def keep(figure, *, prefix, label):
        kept.append((figure.axes[0], label))
        return f"<svg id='{prefix}'/>"

    monkeypatch.setattr(figures, "inline_svg", keep)
    return kept


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
        assert dots == list(zip((row["rate"] for row in rows), "os^vXDo", strict=True))
        assert label.startswith("Plot of success by channel and condition with 95% Wilson intervals.")
        percents = [word for word in words(axes) if word.endswith("%")]
        assert percents == [cells.percent(row["rate"]) for row in [*rows[:5], rows[6]]]
    assert len(drawn) == 2


def test_rows_stand_one_below_the_other(drawn):
    figures.success_plot(build_results(complete(), {}))
    for axes, _ in drawn:
        heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        assert heights[4] == heights[5], "the swap row has two dots"
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
        assert words(axes).count("–") == 4
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
