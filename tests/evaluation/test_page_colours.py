"""The colours of report.html: told apart by everyone, in light and in dark."""

import re
from pathlib import Path

import pytest

from parley.evaluation import reporting


def palettes():
    style = Path(reporting.__file__).with_name("page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks[:2])
    return {"light": light, "dark": {**light, **dark}}


def luminance(colour):
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's contrast checker


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_and_mark_stands_out_in_light_and_dark(scheme):
    palette = palettes()[scheme]
    for ground in ("paper", "card"):
        for ink in ("ink", "muted", "normal", "pass", "fail", "inconclusive", "invalid"):
            assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)
    for mark in ("normal", "control", "swap", "ceiling"):
        assert contrast(palette[mark], palette["card"]) >= 3, mark
    for ink in ("ink", "swap"):
        assert contrast(palette[ink], palette["bar"]) >= (4.5 if ink == "ink" else 3), ink
