"""The codebook atlas: what its panels hold, and what stands in the picture."""

import math
import struct
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from parley.evaluation.diagnostics import atlas
from parley.evaluation.diagnostics.atlas import atlas_file, draw_atlas, panels_of


@pytest.fixture
def referents(few_objects):
    return few_objects.referents("test")


@pytest.fixture
def drawn(monkeypatch):
    """Lay an atlas out and hand back the figure; pixels are made where a test asks for them."""
    figures = []

    class Kept(Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(atlas, "Figure", Kept)
    monkeypatch.setattr(atlas, "as_png", lambda figure: b"")

    def draw(panels, codebook_size=64, title="latent_vq"):
        draw_atlas(panels, codebook_size, title)
        return figures[-1]

    return draw


def panel(rows, columns=8, slot=1, **fields):
    """A clean staircase of this many codes."""
    counts = torch.zeros(rows, columns, dtype=torch.long)
    counts[torch.arange(rows), torch.arange(rows) * columns // rows] = 5
    known = {
        "attribute": "colour",
        "nmi": 0.9,
        "values": [f"value {v}" for v in range(columns)],
        "codes": list(range(rows)),
        "counts": counts,
    }
    return atlas.Panel(slot=str(slot), **(known | fields))


def texts(figure):
    return [text.get_text() for text in figure.texts]


def maps(figure):
    """The axes of the panels' cells."""
    return [axes for axes in figure.axes if axes.images and axes.axison]


def bars_of(figure):
    return [axes for axes in figure.axes if axes.collections and not axes.images]


# panels


def test_a_good_code_is_a_diagonal_whatever_its_numbers(few_objects, referents):
    names = torch.tensor([40, 7, 63, 0])
    codes = torch.stack([names[torch.from_numpy(referents[:, column])] for column in (2, 0)], 1)
    first, second = panels_of(codes, referents, few_objects)
    assert (first.slot, first.attribute, second.slot, second.attribute) == ("1", "material", "2", "size")
    assert first.codes == second.codes == [40, 7, 63, 0]
    assert first.values == ["metal", "wood", "glass", "stone"]
    assert first.nmi == pytest.approx(1)
    counts = first.counts.numpy()
    assert (counts == np.diag(np.bincount(referents[:, 2]))).all()


def test_codes_of_one_slot_have_a_panel_a_stage(few_objects, referents, drawn):
    codes = torch.from_numpy(referents)[:, [3, 0, 1, 2]]
    panels = panels_of(codes, referents, few_objects, codes_per_slot=2)
    assert [one.slot for one in panels] == ["1, stage 1", "1, stage 2", "2, stage 1", "2, stage 2"]
    assert [one.attribute for one in panels] == ["shape", "size", "colour", "material"]
    assert "slot 2, stage 1: colour" in texts(drawn(panels))


def test_rows_are_ordered_by_value_then_purity_then_use(few_objects, referents):
    values = referents[:, 1]
    codes = np.where(values == 0, 9, 5)  # 9 says red; 5 says three colours, orange no less than others
    codes[np.flatnonzero(values == 0)[:2]] = 3  # pure as well, but rarer
    codes[np.flatnonzero(values == 3)[:1]] = 1
    codes[np.flatnonzero(values == 0)[2]] = 1
    [only] = panels_of(torch.from_numpy(codes)[:, None], referents, few_objects)
    assert only.attribute == "colour"
    assert only.codes[:3] == [9, 3, 1]
    assert only.counts.sum() == len(referents)
    for code, uses in zip(only.codes, only.counts.tolist(), strict=True):
        assert uses == np.bincount(values[codes == code], minlength=4).tolist()


def test_a_panel_takes_the_attribute_with_the_highest_nmi(few_objects, referents):
    noisy = np.where(np.arange(len(referents)) % 3 == 0, referents[:, 0], referents[:, 3])
    [only] = panels_of(torch.from_numpy(noisy)[:, None], referents, few_objects)
    assert only.attribute == "shape"
    assert only.values == ["cube", "ball", "cone", "ring"]


def test_a_slot_that_always_says_the_same_has_a_panel_of_one_row(few_objects, referents):
    [only] = panels_of(torch.full((len(referents), 1), 5), referents, few_objects)
    assert only.codes == [5]
    assert only.nmi == 0
    same = np.repeat(referents[:1], 3, axis=0)
    [undefined] = panels_of(torch.full((3, 1), 5), same, few_objects)
    assert math.isnan(undefined.nmi)
    assert undefined.values == [few_objects.words(same[0])[0]]


def test_an_undefined_nmi_is_never_the_highest(few_objects, referents):
    """Codes and size are constant, so their NMI is undefined; that with colour is 0."""
    same_size = referents[referents[:, 0] == 0]
    [only] = panels_of(torch.full((len(same_size), 1), 5), same_size, few_objects)
    assert only.attribute == "colour"
    assert only.nmi == 0


# the picture


def test_cells_are_shares_of_a_code_s_uses(drawn):
    counts = torch.tensor([[3, 1], [0, 10]])
    figure = drawn([panel(2, 2, counts=counts)])
    [axes] = maps(figure)
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert axes.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in axes.texts] == ["75", "25", "100"]
    [bars] = bars_of(figure)
    assert [segment.tolist() for segment in bars.collections[0].get_segments()] == [
        [[0, 0], [4, 0]],
        [[0, 1], [10, 1]],
    ]
    assert bars.get_xlim() == (0, 10)
    assert bars.get_ylim() == axes.get_ylim()
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first row is on top"


def test_small_shares_are_not_written(drawn):
    [axes] = maps(drawn([panel(1, 3, counts=torch.tensor([[4, 5, 91]]))]))
    assert [text.get_text() for text in axes.texts] == ["5", "91"]


def test_a_panel_names_slot_attribute_nmi_and_codes_in_use(drawn):
    figure = drawn([panel(8, slot=3, attribute="a_$very$ odd one", nmi=0.456)])
    assert texts(figure)[:3] == ["latent_vq", "slot 3: a_$very$ odd one", "NMI 0.46, 8 of 64 codes in use"]
    assert "NMI –, 8 of 64 codes in use" in texts(drawn([panel(8, nmi=math.nan)]))
    [axes] = maps(figure)
    assert [label.get_text() for label in axes.get_yticklabels()] == [str(code) for code in range(8)]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"value {v}" for v in range(8)]


@pytest.mark.parametrize(
    ("rows", "numbered", "labelled"),
    [(16, True, True), (17, False, True), (96, False, True), (97, False, False)],
)
def test_what_would_be_too_small_to_read_is_left_out(drawn, rows, numbered, labelled):
    [axes] = maps(drawn([panel(rows)]))
    assert bool(axes.texts) is numbered
    assert bool(axes.get_yticklabels()) is labelled
    assert bool(axes.collections) is labelled


def inside(box, outer):
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= outer.x1 and box.y1 <= outer.y1


@pytest.mark.parametrize("rows", [[64] * 4, [8] * 4, [64, 8, 1, 30], [300], [16] * 6, [3]])
def test_nothing_touches_anything_and_all_is_inside(drawn, rows):
    figure = drawn([panel(count, slot=slot) for slot, count in enumerate(rows, start=1)], codebook_size=65536)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    for axes in maps(figure):
        boxes = [label.get_window_extent(renderer) for label in axes.get_yticklabels()]
        assert all(upper.y0 >= lower.y1 - 2 for upper, lower in pairwise(boxes))
    panels = [axes.get_tightbbox(renderer) for axes in maps(figure)]
    bars = [axes.get_window_extent(renderer) for axes in bars_of(figure)]
    written = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(inside(box, figure.bbox) for box in [*panels, *bars, *written])
    blocks = [*panels, *bars, *written]
    for place, one in enumerate(blocks):
        for other in blocks[place + 1 :]:
            apart_x = one.x1 <= other.x0 + 2 or other.x1 <= one.x0 + 2
            apart_y = one.y1 <= other.y0 + 2 or other.y1 <= one.y0 + 2
            assert apart_x or apart_y


def test_long_names_of_values_touch_neither_the_next_row_nor_the_legend(drawn):
    values = [f"a value of a very long name, number {number}" for number in range(4)]
    figure = drawn([panel(4, 4, slot=slot, values=values) for slot in range(1, 6)])
    figure.draw_without_rendering()
    above, below = maps(figure)[0], maps(figure)[4]
    title = next(text for text in figure.texts if text.get_text().startswith("slot 5"))
    legend = figure.texts[-1].get_window_extent()
    lowest = [
        min(label.get_window_extent().y0 for label in axes.get_xticklabels()) for axes in (above, below)
    ]
    assert lowest[0] > title.get_window_extent().y1
    assert lowest[1] > legend.y1


def test_rows_are_equally_high_in_all_panels(drawn):
    figure = drawn([panel(40), panel(10, slot=2)])
    tall, short = (axes.get_window_extent().height for axes in maps(figure))
    assert tall == pytest.approx(4 * short)


def test_of_many_slots_the_first_sixteen_are_drawn_and_that_is_said(drawn):
    figure = drawn([panel(3, slot=slot) for slot in range(1, 21)], title="latent_vq: codes")
    assert texts(figure)[0] == "latent_vq: codes (the first 16 of 20)"
    assert len(maps(figure)) == 16
    assert texts(drawn([panel(3)] * 16))[0] == "latent_vq"


def test_the_picture_is_a_png_of_a_size_that_can_be_read():
    picture = draw_atlas([panel(64, slot=slot) for slot in range(1, 5)], 64, "latent_vq")
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert 1500 < width < 2500
    assert 1200 < height < 2000


def test_even_a_thousand_codes_fit_a_page(drawn):
    assert drawn([panel(1024)]).bbox.height < 2500


def test_a_file_s_name_holds_no_path():
    assert atlas_file("latent_vq") == "atlas-latent_vq.png"
    assert atlas_file("../a b/c") == "atlas-..%2Fa%20b%2Fc.png"
