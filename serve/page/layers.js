// The layers of the volume: what the server can show, which are shown, and what their colours mean.

import { $, make } from "./dom.js";

const GROUPS = { volume: "Volume", segmentation: "Segmentation", similarity: "Similarity", probe: "Probes", clusters: "Clusters" };
const MOST_SIMILARITIES = 3;

export class Layers {
  /** @param app what the panels share. @param onChange is called when other layers are shown. */
  constructor(app, onChange) {
    Object.assign(this, { app, onChange, listed: [], similarities: [], shown: null });
  }

  /** The layers, each with whether it is visible. */
  get all() {
    return [...this.listed, ...this.similarities].map((layer) => ({ ...layer, visible: this.shown?.has(layer.id) ?? layer.visible }));
  }

  /** The map of a class of a probe; of the likeliest class where `label` is empty. */
  ofProbe(probe, label) { return this.all.find((layer) => layer.probe === probe && layer.label === label); }

  /** Another atlas. @param ids of the layers that the address wants shown; undefined for the usual. */
  async open(ids) {
    Object.assign(this, { listed: [], similarities: [], shown: null });
    await this.#list();
    if (ids !== undefined) this.shown = new Set(ids.split(",").filter(Boolean));
    this.draw();
  }

  /** Asks again what there is, after a probe was trained, and shows the map of one of its classes. */
  async refresh({ probe, label }) {
    this.#own();
    for (const layer of this.listed) if (layer.probe === probe) this.shown.delete(layer.id);
    await this.#list();
    const layer = this.ofProbe(probe, label);
    if (layer) this.shown.add(layer.id);
    this.#changed();
  }

  /** Shows or hides a layer. */
  set(id, visible) {
    this.#own();
    if (visible) this.shown.add(id);
    else this.shown.delete(id);
    this.#changed();
  }

  /** Adds the similarity to a query everywhere as a layer, and shows it. */
  async addSimilarity(query) {
    if (!query) return;
    await this.app.trying(async () => {
      const { layer } = await this.app.api.similarity(query);
      this.#own();
      for (const old of this.similarities) this.shown.delete(old.id);
      this.similarities = [...this.similarities.filter(({ id }) => id !== layer.id), layer].slice(-MOST_SIMILARITIES);
      this.shown.add(layer.id);
      this.#changed();
    });
  }

  /** A switch of a layer. */
  toggle(layer, title) {
    const box = make("input", { type: "checkbox", checked: layer.visible, "aria-label": title, onchange: () => this.set(layer.id, box.checked) });
    return make("label", { className: "switch", title }, box, make("span"));
  }

  /** Draws the panel of layers. */
  draw() {
    const rows = Object.entries(GROUPS).flatMap(([group, title]) => {
      const layers = this.all.filter((layer) => layer.group === group);
      if (!layers.length) return [];
      return [make("h3", { textContent: title }), ...layers.map((layer) => this.#row(layer))];
    });
    $("layer-list").replaceChildren(...(rows.length ? rows : [make("p", { className: "quiet", textContent: this.refusal?.message ?? "No layers." })]));
    const shown = this.all.filter(({ visible, legend }) => visible && legend?.length);
    $("legend").replaceChildren(...shown.map((layer) => make("div", { className: "legend" }, make("b", { textContent: layer.title }), ...layer.legend.slice(0, 12).map(entry))));
  }

  async #list() {
    try {
      this.listed = (await this.app.api.layers()).layers;
      this.refusal = null;
    } catch (error) {
      this.refusal = error;
    }
  }

  // From here on what is shown is said by the page, no more by the server.
  #own() {
    this.shown ??= new Set(this.all.filter(({ visible }) => visible).map(({ id }) => id));
  }

  #changed() {
    this.draw();
    this.onChange(this.all);
  }

  #row(layer) {
    return make("div", { className: "layer-row" }, this.toggle(layer, layer.title), make("span", { textContent: layer.title }));
  }
}

function entry({ name, colour }) {
  const swatch = make("i", { className: "swatch" });
  swatch.style.setProperty("--class", colour);
  return make("span", { className: "legend-entry" }, swatch, name);
}
