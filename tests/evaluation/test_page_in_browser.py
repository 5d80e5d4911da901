"""report.html in a browser: what only a browser can say. Skipped where Chromium is not installed."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from complete_runs import GUESSED, HOSTILE, Page, complete

from parley.evaluation.reporting.gallery import gather_gallery
from parley.evaluation.reporting.page import render_html
from parley.evaluation.results import build_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

DRIVER = """
<script>
const form = document.getElementById("gallery-filter"), said = {};
const shown = () => [...document.querySelectorAll(".scene")].filter((scene) => !scene.hidden);
const set = (name, value) => {
  form.elements[name].value = value;
  form.dispatchEvent(new Event("input", { bubbles: true }));
};
said.first = shown().length;
document.getElementById("gallery-more").click();
said.more = shown().length;
set("outcome", "wrong");
said.wrong = shown().every((scene) => scene.dataset.outcome === "wrong") && shown().length;
set("swap", "consistent");
said.consistent = shown().every((scene) => scene.dataset.swap === "consistent") && shown().length;
set("outcome", "");
set("swap", "");
set("channel", [...form.elements.channel.options].at(-1).value);
said.channel = shown().length;
set("channel", "");
set("search", " THING  ");
said.search = document.getElementById("gallery-count").textContent;
set("search", "nothing like this");
said.none = shown().length + document.getElementById("gallery-count").textContent;
window.dispatchEvent(new Event("beforeprint"));
said.printed = document.querySelectorAll("details:not([open])").length;
window.dispatchEvent(new Event("afterprint"));
said.folded = document.querySelectorAll("details[open]").length;
said.wide = document.documentElement.scrollWidth > innerWidth;
document.title = JSON.stringify(said);
</script>
"""


def visit(html, folder, width=390):
    """The page as Chromium makes it, and what it complains of."""
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
        f"--window-size={width},900", f"--user-data-dir={folder / 'profile'}", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def html():
    other = [
        replace(r, channel="b", role="untrained") for r in complete(GUESSED, seed=1) if r.channel != "silence"
    ]
    records = [*complete(GUESSED), *other]
    results = build_results(records, {"command": HOSTILE, "num_candidates": 5})
    return render_html(results, gather_gallery(records, results, 20))


def test_the_page_s_own_script_runs_and_nothing_complains(html, tmp_path):
    dom, complaints = visit(html, tmp_path)
    assert complaints == []
    forms = Page(re.sub(r"<script>.*?</script>", "", dom, flags=re.DOTALL)).all("form")
    assert forms == [{"id": "gallery-filter"}]
    assert "12 of 20 shown" in dom


def test_another_script_does_not_run(html, tmp_path):
    dom, complaints = visit(
        html.replace("</body>", "<script>document.title = 'hacked'</script></body>"), tmp_path
    )
    assert "<title>hacked" not in dom
    assert any("Content Security Policy" in line for line in complaints)


def test_the_filter_shows_what_is_asked(html, tmp_path):
    open_page = re.sub(r"<meta http-equiv=[^>]*>", "", html).replace("</body>", f"{DRIVER}</body>")
    dom, complaints = visit(open_page, tmp_path)
    assert complaints == []
    said = re.search(r"<title>(.*?)</title>", dom)[1].replace("&quot;", '"')
    page = Page(html)
    scenes = page.all("article")
    wrong = [scene for scene in scenes if scene["data-outcome"] == "wrong"]
    assert 0 < len(wrong) < 20
    swap_consistent = [scene for scene in wrong if scene["data-swap"] == "consistent"]
    wanted = {
        "first": 12, "more": 20, "wrong": min(12, len(wrong)), "consistent": len(swap_consistent),
        "channel": 10, "search": "12 of 20 shown", "none": "0No episode fits. Choose fewer conditions.",
        "printed": 0, "folded": 0, "wide": False,
    }  # fmt: skip
    assert json.loads(said) == wanted
