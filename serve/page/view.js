// The volume on the page: in Neuroglancer, or in slices where the browser cannot draw that.

import { $, press } from "./dom.js";
import { NeuroglancerView } from "./neuroglancer.js";
import { SliceView } from "./slice.js";

export class View {
  /** @param handlers onPick, onMove, onKey of the views, and onNote with a text for people. */
  constructor(handlers) {
    this.handlers = handlers;
    this.kind = null;
    this.shown = null;
    this.said = { query: null, hits: [], labels: [], layers: [] };
    this.views = {
      neuroglancer: new NeuroglancerView($("neuroglancer"), handlers),
      slices: new SliceView(handlers),
    };
  }

  /** Shows the volume in "neuroglancer" or in "slices"; what fits the browser where neither is said. */
  async use(wanted) {
    const able = NeuroglancerView.supported;
    let kind = wanted ?? (able ? "neuroglancer" : "slices");
    if (kind === "neuroglancer" && !able) kind = "slices";
    if (kind === this.kind) return;
    this.kind = kind;
    document.body.dataset.view = kind;
    press($("view-kind"), kind);
    $("no-webgl").hidden = able;
    if (kind === "neuroglancer") {
      $("stage-note-3d").textContent = "Opening Neuroglancer…";
      try {
        await this.views.neuroglancer.load();
        $("stage-note-3d").textContent = "";
      } catch (error) {
        this.handlers.onNote(`${error.message} Slices are shown instead.`);
        return this.use("slices");
      }
      if (this.kind !== kind) return;
    }
    const { at, nmPerPixel } = this.shown ?? {};
    this.shown = this.views[kind];
    if (this.atlas) this.#repeat(at ?? this.start, nmPerPixel ?? this.zoom);
  }

  /** Shows an atlas; the place in the middle, and how many nm a pixel shows, are as `at` and `zoom`. */
  open(atlas, layers, at, zoom) {
    const { first_location_nm: first, last_location_nm: last } = atlas;
    const middle = { x: (first.x + last.x) / 2, y: (first.y + last.y) / 2, z: (first.z + last.z) / 2 };
    Object.assign(this, { atlas, start: at ?? middle, zoom, said: { query: null, hits: [], labels: [], layers } });
    if (this.shown) this.#repeat(this.start, zoom);
  }

  #repeat(at, zoom) {
    const { query, hits, labels, layers } = this.said;
    this.shown.open(this.atlas, layers, at, zoom);
    this.shown.mark(query, hits);
    this.shown.showLabels(labels);
  }

  get at() { return this.shown?.at ?? this.start; }
  get state() { return this.shown?.state ?? null; }

  reach(place) {
    this.start = place;
    this.shown?.reach(place);
  }

  mark(query, hits) {
    Object.assign(this.said, { query, hits });
    this.shown?.mark(query, hits);
  }

  showLabels(labels) {
    this.said.labels = labels;
    this.shown?.showLabels(labels);
  }

  showLayers(layers) {
    this.said.layers = layers;
    this.shown?.showLayers(layers);
  }
}
