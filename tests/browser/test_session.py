"""A session with the page in a real Chromium, from a click to a map and an export."""

import json
from pathlib import Path

import pytest

from serve.server import start_server
from tests.browser.chromium import opened
from tests.browser.visit import Visit
from tests.projections import write_projection
from tests.served import make_served

PICTURES = Path(__file__).parents[2] / "build" / "browser"
HOSTILE = "<img src=x onerror=pwned=1>"


@pytest.fixture
def visit(tmp_path):
    with opened(1280, 800) as context:
        served = make_served(tmp_path / "small")
        write_projection(served.atlas)
        with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
            yield Visit(context, f"http://{server.http_address}/", PICTURES)


@pytest.mark.slow
def test_from_a_click_to_a_map_and_an_export(visit):
    page = visit.page
    assert visit.layers().items() >= {"volume": True, "neighbours": True, "labels": True}.items()
    make_classes(page)

    go_to_a_pasted_link(visit)
    visit.shift_click(0.25, 0.25)
    page.wait_for_selector("#hits .card:not(.query)")
    assert page.locator("#hits .card:not(.query)").count() == 12
    visit.wait_until_drawn()
    visit.picture("neighbours")
    ask_for_what_is_rare(page)

    label_ten(page)
    assert page.evaluate("() => window.pwned") is None
    assert page.locator("img[src=x]").count() == 0
    visit.picture("labelled")
    leave_out_what_is_labelled(page)

    page.click("#tab-probe")
    page.click("#train")
    page.wait_for_selector("#probe:not([hidden])")
    maps = [name for name, shown in visit.layers().items() if name.startswith("probe.") and shown]
    assert len(maps) == 1
    page.wait_for_selector("#suggestions .card")
    visit.wait_until_drawn()
    visit.picture("probe")

    page.click("#tab-umap")
    page.frame_locator("#plot").locator(".nsewdrag").wait_for()
    visit.lasso()
    page.wait_for_selector("#lasso:not([hidden])")
    visit.picture("lasso")
    places = visit.saved("#lasso-csv").splitlines()
    assert places[0].startswith("id,x_nm,y_nm,z_nm,umap_x,umap_y,cluster")
    assert len(places) > 200
    page.click(".labels .menu summary")
    labels = visit.saved("#export-csv").splitlines()
    assert len([line for line in labels if not line.startswith("#")]) == 1 + 10

    page.reload()
    page.wait_for_selector("#tab-umap[aria-selected=true]")
    page.click("#tab-found")
    page.wait_for_selector("#hits .card:not(.query)")
    page.click("#view-kind [data-value=slices]")
    page.wait_for_selector("#slice:not([hidden])")
    visit.picture("slices")

    assert visit.errors == []
    assert visit.elsewhere == []


def go_to_a_pasted_link(visit):
    """Of a Neuroglancer link only the place is taken, never what it wants to show."""
    dimensions = {"x": [8e-9, "m"], "y": [8e-9, "m"], "z": [30e-9, "m"]}
    layers = [{"name": "evil", "source": "precomputed://https://evil.example/volume"}]
    state = {"dimensions": dimensions, "position": [40, 38, 14], "layers": layers}
    visit.page.fill("#position", f"https://elsewhere.example/#!{json.dumps(state)}")
    visit.page.press("#position", "Enter")
    visit.wait("() => location.hash.includes('at=320,304,420')")
    assert visit.position() == pytest.approx([40, 38, 14], abs=0.1)
    assert "evil" not in visit.layers()


def ask_for_what_is_rare(page):
    """Other places are found by it; the address keeps it, and then the rule before it."""
    before = page.locator("#hits").inner_text()
    with page.expect_response(lambda answer: answer.url.endswith("/find")) as answered:
        page.select_option("#by", "rare")
    assert answered.value.request.post_data_json["typical_weight"] == 0.5
    page.wait_for_function(
        "before => document.getElementById('hits').innerText !== before", arg=before
    )
    assert "by=rare" in page.url
    page.select_option("#by", "all")
    page.wait_for_function(
        "before => document.getElementById('hits').innerText === before", arg=before
    )
    assert "by=" not in page.url


def leave_out_what_is_labelled(page):
    """Nothing that is labelled is found any more; the address keeps it."""
    said = page.locator("#hits .card:not(.query) .said:not([hidden])")
    assert said.count() > 0
    with page.expect_response(lambda answer: answer.url.endswith("/find")) as answered:
        page.check("#unlabelled")
    assert answered.value.request.post_data_json["filters"] == {
        "not_labels": [{"label_set": "structures"}]
    }
    page.wait_for_function(
        "() => !document.querySelector('#hits .card:not(.query) .said:not([hidden])')"
    )
    assert page.locator("#hits .card:not(.query)").count() > 0
    assert "skip=labelled" in page.url
    page.uncheck("#unlabelled")
    said.first.wait_for()
    assert "skip=" not in page.url


def make_classes(page):
    """A class set of two, of which one would be code if it were not text."""
    page.click("#new-set")
    page.fill("#class-set", "structures")
    names = page.locator(".class-name")
    names.nth(0).fill("vesicles")
    names.nth(1).fill(HOSTILE)
    page.click("#class-form button.main")
    page.wait_for_selector(".chip")
    assert page.locator(".chip span").all_inner_texts() == ["vesicles", HOSTILE]
    page.fill("#author", "Ada")


def label_ten(page):
    """Labels the place that was clicked and nine more, by keys, and takes one back."""
    page.locator("#hits .card .show").first.focus()
    for key in "11111222222":
        page.keyboard.press(key)
    page.wait_for_function(
        "() => document.querySelectorAll('.said:not([hidden]):not(.pending)').length === 11"
    )
    page.keyboard.press("u")
    page.wait_for_function(
        "() => document.querySelectorAll('.said:not([hidden]):not(.pending)').length === 10"
    )
    assert page.locator(".said:not([hidden])").nth(9).inner_text() == HOSTILE
