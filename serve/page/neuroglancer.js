// The volume in Neuroglancer. Only this file talks to its client, which lies in a frame of our own
// origin and is driven through its window.viewer.

import { fovNm } from "./places.js";

const CLIENT = "ng/v/page/";
const FOUND = "neighbours";
const LABELLED = "labels";
const QUERY = "#ffb020";
const HIT = "#35e0c8";
// Every move writes the state down, annotations and all.
const MOST_LABELS = 500;
const MARKS = `void main() {
  setColor(prop_colour());
  setPointMarkerSize(9.0);
  setPointMarkerBorderWidth(2.0);
  setPointMarkerBorderColor(vec4(0.0, 0.0, 0.0, 0.8));
  setBoundingBoxBorderWidth(2.0);
}`;
const EMPTY = { showUIControls: false, showTopBar: false };

export class NeuroglancerView {
  /** Whether this browser can draw it. */
  static get supported() {
    try {
      return document.createElement("canvas").getContext("webgl2") !== null;
    } catch {
      return false;
    }
  }

  /**
   * @param frame  an iframe.
   * @param onPick is called with the place {x, y, z} in nm that was clicked while Shift was held.
   * @param onMove is called with what is in the middle, and how many nm a pixel shows.
   * @param onKey  is called with keys that were pressed in the frame; tells whether it took one.
   */
  constructor(frame, { onPick, onMove, onKey }) {
    Object.assign(this, { frame, onPick, onMove, onKey, viewer: null, atlas: null, layers: [], marks: { [FOUND]: [], [LABELLED]: [] } });
  }

  /** Loads the client; once is enough. */
  load() {
    this.loading ??= this.#load();
    return this.loading;
  }

  async #load() {
    // With layers in its address the client loses the first of them now and then; so it starts empty.
    this.frame.src = `${CLIENT}#!{}`;
    await new Promise((loaded, failed) => {
      this.frame.onload = loaded;
      setTimeout(() => failed(new Error("Neuroglancer did not load.")), 60_000);
    });
    const { contentWindow: inner } = this.frame;
    if (!inner.viewer) throw new Error("Neuroglancer did not start.");
    this.viewer = inner.viewer;
    for (const [name, value] of Object.entries(EMPTY)) this.viewer.uiConfiguration[name].value = value;
    inner.addEventListener("mousedown", (event) => this.#press(event), true);
    inner.addEventListener("keydown", (event) => {
      if (inner.document.activeElement?.matches("input, textarea") || !this.onKey(event)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    }, true);
    let timer;
    this.viewer.state.changed.add(() => {
      clearTimeout(timer);
      timer = setTimeout(() => this.atlas && this.at && this.onMove(this.at, this.nmPerPixel), 300);
    });
  }

  /** Shows an atlas. `layers` are as the server lists them, `at` the place in the middle. */
  open(atlas, layers, at, nmPerPixel) {
    Object.assign(this, { atlas, layers, marks: { [FOUND]: [], [LABELLED]: [] } });
    const size = atlas.voxel_size_nm;
    const finest = Math.min(size.x, size.y, size.z);
    const { start, stop } = atlas.volume_nm;
    this.viewer.state.reset();
    this.viewer.state.restoreState({
      dimensions: Object.fromEntries([..."xyz"].map((axis) => [axis, [size[axis] * 1e-9, "m"]])),
      position: this.#voxels(at),
      crossSectionScale: (nmPerPixel ?? this.#fitting(atlas)) / finest,
      projectionScale: Math.max(stop.x - start.x, stop.y - start.y, stop.z - start.z) / finest,
      layers: this.#specs(),
      layout: "4panel",
      selectedLayer: { visible: false },
      showDefaultAnnotations: false, // the outlines of layers
      crossSectionBackgroundColor: "#16191a",
      projectionBackgroundColor: "#16191a",
    });
  }

  // A panel shows the whole volume, or two voxels a pixel of a larger one; nm.
  #fitting({ volume_nm: { start, stop }, voxel_size_nm: size }) {
    const panel = Math.max(100, Math.min(this.frame.clientWidth, this.frame.clientHeight) / 2);
    return Math.min(2 * Math.min(size.x, size.y, size.z), (1.1 * Math.max(stop.x - start.x, stop.y - start.y)) / panel);
  }

  get at() {
    const place = this.viewer?.position.value;
    if (!place || place.length !== 3) return null;
    return this.#nm(place);
  }

  get nmPerPixel() {
    const { x, y, z } = this.atlas.voxel_size_nm;
    return this.viewer.crossSectionScale.value * Math.min(x, y, z);
  }

  /** Its state as JSON, for other Neuroglancers that can reach this server. */
  get state() { return this.viewer.state.toJSON(); }

  /** Moves to a place. */
  reach(place) {
    this.viewer.position.value = Float32Array.from(this.#voxels(place));
  }

  /** Shows its own bars and panels, or hides them. */
  showControls(shown) {
    for (const name of Object.keys(EMPTY)) this.viewer.uiConfiguration[name].value = shown;
  }

  /** One plane or four panels. */
  arrange(layout) {
    this.viewer.state.restoreState({ layout });
  }

  /** Frames the fields of view of the place that was asked for and of what was found. */
  mark(query, hits) {
    const box = (place, colour, id) => {
      const corner = (sign) => this.#voxels(Object.fromEntries([..."xyz"].map((a) => [a, place[a] + (sign * fovNm(this.atlas, a)) / 2])));
      return { type: "axis_aligned_bounding_box", id, pointA: corner(-1), pointB: corner(1), props: [colour] };
    };
    const point = (place, colour, id) => ({ type: "point", id, point: this.#voxels(place), props: [colour] });
    this.#annotate(FOUND, [
      ...hits.flatMap((hit, i) => [box(hit.position_nm, HIT, `box ${i}`), point(hit.position_nm, HIT, `point ${i}`)]),
      ...(query ? [box(query, QUERY, "query")] : []),
    ]);
  }

  /** Shows labelled places, the newest of them: [{ position_nm, colour, text }]. */
  showLabels(labels) {
    this.#annotate(LABELLED, labels.slice(-MOST_LABELS).map((label, i) => ({
      type: "point", id: `label ${i}`, point: this.#voxels(label.position_nm), description: label.text, props: [label.colour],
    })));
  }

  /** Shows the layers that are visible, and keeps the others ready. */
  showLayers(layers) {
    const same = layers.map(keyOf).join("\n") === this.layers.map(keyOf).join("\n");
    this.layers = layers;
    if (!same) return this.viewer.state.restoreState({ ...this.state, layers: this.#specs() });
    for (const { id, visible } of layers) this.viewer.layerManager.getLayerByName(id)?.setVisible(visible);
  }

  #specs() {
    const notes = (name) => ({
      type: "annotation", name, source: { url: "local://annotations", transform: this.#transform() }, tab: "annotations",
      annotations: this.marks[name], annotationProperties: [{ id: "colour", type: "rgb", default: HIT }], shader: MARKS,
    });
    return [...this.layers.map(specOf), notes(FOUND), notes(LABELLED)];
  }

  #transform() {
    const size = this.atlas.voxel_size_nm;
    return { outputDimensions: Object.fromEntries([..."xyz"].map((axis) => [axis, [size[axis] * 1e-9, "m"]])) };
  }

  #annotate(name, annotations, tries = 50) {
    this.marks[name] = annotations;
    const source = this.viewer.layerManager.getLayerByName(name)?.layer?.localAnnotations;
    if (source) source.restoreState(annotations);
    else if (tries) {
      // The layer was added a moment ago and is not there yet.
      setTimeout(() => this.marks[name] === annotations && this.#annotate(name, annotations, tries - 1), 100);
    }
  }

  #press(event) {
    if (event.button !== 0 || !event.shiftKey || !event.target.closest(".neuroglancer-rendered-data-panel")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { mouseState } = this.viewer;
    mouseState.updateUnconditionally();
    // Keys are the page's again, as what is found is shown there.
    window.focus();
    if (mouseState.active && mouseState.position.length === 3) this.onPick(this.#nm(mouseState.position));
  }

  #voxels(place) { return [..."xyz"].map((axis) => place[axis] / this.atlas.voxel_size_nm[axis]); }
  #nm(voxels) { return Object.fromEntries([..."xyz"].map((axis, i) => [axis, voxels[i] * this.atlas.voxel_size_nm[axis]])); }
}

const keyOf = (layer) => `${layer.id} ${layer.source}`;

function specOf({ id, type, source, transform, visible, shader, legend }) {
  // A source is given relative to the page; Neuroglancer wants it whole.
  const url = `precomputed://${new URL(source, document.baseURI)}`;
  const spec = { type, name: id, source: transform ? { url, transform } : url, visible, tab: "source" };
  if (type !== "segmentation") return { ...spec, ...(shader ? { shader } : {}), opacity: 1 };
  const colours = (legend ?? []).map(({ segment, colour }) => [segment, colour]);
  return { ...spec, selectedAlpha: 0.45, notSelectedAlpha: 0.35, segmentColors: Object.fromEntries(colours) };
}
