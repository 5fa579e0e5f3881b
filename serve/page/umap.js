// The map of the embeddings (UMAP): hover to see, click to go there, draw around points to have them all.

import { Cards } from "./cards.js";
import { $, make, onPress, press, setOptions } from "./dom.js";
import { saveText, table } from "./download.js";
import { NeuroglancerView } from "./neuroglancer.js";
import { xyz } from "./places.js";
import { loadPlot } from "./plot.js";
import { clusterColour, readPoints } from "./points.js";
import { thumbnails } from "./thumbnails.js";

const NONE = "#9aa6a5";
const MOST_CARDS = 120;
const SCALES = { similarity: "Viridis", intensity: "Greys" };

export class UmapPanel {
  constructor(app, clusters) {
    Object.assign(this, { app, clusters, points: null, colour: "cluster", chosen: [], asked: 0, values: null });
    this.cards = new Cards($("lassoed"), app);
    onPress($("umap-colour"), (colour) => app.goTo({ colour }));
    $("umap-make").addEventListener("click", () => this.make());
    $("lasso-label").addEventListener("change", () => this.#labelAll());
    $("lasso-csv").addEventListener("click", () => saveText(`${app.atlas.name}-places.csv`, this.#table()));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Another atlas; its map is asked for when it is looked at. */
  open() {
    this.asked += 1;
    clearTimeout(this.waiting);
    Object.assign(this, { points: null, chosen: [], values: null, drawn: null });
    this.#list([]);
  }

  /** Looks at the map. */
  async look(colour = "cluster") {
    this.colour = colour;
    press($("umap-colour"), colour);
    if (!this.points) await this.#load();
    else await this.draw();
  }

  /** Starts to make the map on the server, and follows it. */
  async make() {
    $("umap-make").disabled = true;
    try {
      await this.app.api.startProjection();
      await this.#follow();
    } catch (error) {
      this.#note(error.message, true);
    }
    $("umap-make").disabled = false;
  }

  /** Shows labels as they are now. */
  relabel() {
    this.cards.relabel();
    setOptions($("lasso-label"), [["", `Label all ${this.chosen.length}…`], ...this.app.labels.classes.map(({ name }) => [name, name])], "");
    if (this.points && this.colour === "class" && this.app.tab === "umap") this.draw();
  }

  /** Draws the points in their colours. */
  async draw() {
    const { points } = this;
    if (!points || $("plot").clientWidth === 0) return;
    const number = ++this.asked;
    const marker = await this.#marker().catch((error) => error);
    if (number !== this.asked) return;
    const failed = marker instanceof Error;
    this.#note(failed ? marker.message : "", false);
    const { Plotly, element } = await loadPlot($("plot"));
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--plot-ink").trim();
    // Without a graphics card some ten thousand points take seconds to draw, but are there.
    const trace = { type: NeuroglancerView.supported ? "scattergl" : "scatter", mode: "markers", x: points.x, y: points.y, hoverinfo: "none",
      marker: { size: points.count > 20_000 ? 3 : points.count > 3000 ? 4 : 6, opacity: 0.85, ...(failed ? { color: NONE } : marker) },
      unselected: { marker: { opacity: 0.15 } } };
    const axis = { visible: false, scaleanchor: undefined };
    const layout = { margin: { l: 4, r: 4, t: 4, b: 4 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: "lasso", showlegend: false,
      xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, uirevision: this.app.atlas.name, font: { color: ink }, modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: ink }, newselection: { line: { color: ink } } };
    const config = { displaylogo: false, responsive: true, scrollZoom: true, modeBarButtonsToRemove: ["toImage", "autoScale2d", "zoom2d", "select2d"],
      // By default it offers to send the data to its makers.
      showSendToCloud: false, plotlyServerURL: "" };
    await Plotly.react(element, [trace], layout, config);
    if (!this.drawn) this.#listen(element);
    this.drawn = true;
  }

  async #load() {
    const number = ++this.asked;
    this.#note("Fetching the map…");
    try {
      const { has_projection: made } = await this.app.api.describe();
      const points = made ? readPoints(await this.app.api.projection()) : null;
      if (number !== this.asked) return;
      if (!points) return this.#offer();
      this.points = points;
    } catch (error) {
      if (number === this.asked) this.#note(error.message, true);
      return;
    }
    $("umap").dataset.state = "ready";
    $("umap-make").hidden = true;
    this.clusters.show(this.points);
    await this.draw();
  }

  // There is no map: one can be made, unless that is under way.
  async #offer() {
    $("umap").dataset.state = "empty";
    this.#note("This atlas has no map yet. Making one takes from half a minute to some minutes, beside the server.");
    $("umap-make").hidden = false;
    const { state } = await this.app.api.projectionProgress().catch(() => ({}));
    if (state === "running") await this.app.trying(() => this.#follow());
  }

  async #follow() {
    const { app } = this;
    const { api } = app;
    for (;;) {
      const { state, step, of, text, error } = await api.projectionProgress();
      if (api !== app.api) return;
      if (state === "failed") throw new Error(error || "The map could not be made.");
      if (state === "done") return this.#load();
      $("umap-make").hidden = true;
      this.#note(`${text || "Making the map"}${of ? `: ${step} of ${of}` : "…"}`);
      $("umap-progress").hidden = false;
      if (of) $("umap-progress").value = step / of;
      else $("umap-progress").removeAttribute("value");
      await new Promise((later) => { this.waiting = setTimeout(later, 1000); });
    }
  }

  #note(text, wrong = false) {
    $("umap-note").textContent = text;
    $("umap-note").classList.toggle("wrong", wrong);
    $("umap-note").hidden = !text;
    $("umap-progress").hidden = true;
  }

  // The colours of the points, as Plotly takes them.
  async #marker() {
    const { points, colour, app } = this;
    if (colour === "cluster") return { color: points.clusters.map(clusterColour) };
    if (colour === "class") return { color: points.ids.map((id) => (app.labels.of(id) ? app.labels.colourOf(app.labels.of(id).label) : "rgba(140,150,150,.35)")) };
    const query = app.found.query;
    if (colour === "similarity" && !query) throw new Error("Find places like one first; then the map shows how like it every point is.");
    const { values } = await app.api.projectionValues(colour, colour === "similarity" ? query : {});
    return { color: values, colorscale: SCALES[colour], showscale: true, colorbar: { thickness: 10, len: 0.6, x: 1, xanchor: "right", title: { text: colour } } };
  }

  #listen(plot) {
    plot.on("plotly_hover", ({ points: [point], event }) => this.#hover(point.pointIndex, event));
    plot.on("plotly_unhover", () => { $("umap-hover").hidden = true; });
    plot.on("plotly_click", ({ points: [point] }) => this.app.visit(this.points.place(point.pointIndex).position_nm));
    plot.on("plotly_selected", (chosen) => this.#list((chosen?.points ?? []).map(({ pointIndex }) => this.points.place(pointIndex))));
    plot.on("plotly_deselect", () => this.#list([]));
  }

  #hover(index, event) {
    const { app } = this;
    const place = this.points.place(index);
    const card = $("umap-hover");
    const label = app.labels.of(place.location_id)?.label;
    const said = [this.clusters.nameOf(place.cluster), label].filter(Boolean).join(" · ");
    card.replaceChildren(thumbnails(app.atlas, app.api, place.position_nm), make("div", { textContent: said }), make("small", { textContent: xyz(place.position_nm) }));
    const box = $("umap-stage").getBoundingClientRect();
    card.style.left = `${Math.min(event.clientX + 16, box.width - 230)}px`;
    card.style.top = `${Math.min(event.clientY + 16, box.height - 125)}px`;
    card.hidden = false;
  }

  #list(places) {
    this.chosen = places;
    $("lasso").hidden = !places.length;
    const more = places.length - MOST_CARDS;
    $("lasso-title").textContent = `${places.length} place${places.length === 1 ? "" : "s"} chosen${more > 0 ? `; the first ${MOST_CARDS} below` : ""}`;
    this.cards.show([{ places: places.slice(0, MOST_CARDS) }]);
    if (this.app.labels) this.relabel();
  }

  #labelAll() {
    const name = $("lasso-label").value;
    $("lasso-label").value = "";
    if (name) this.app.label(this.chosen, name);
  }

  #table() {
    return table(["id", "x_nm", "y_nm", "z_nm", "umap_x", "umap_y", "cluster", "label"], this.chosen.map((place) =>
      [place.location_id, place.position_nm.x, place.position_nm.y, place.position_nm.z, place.umap_x, place.umap_y, place.cluster, this.app.labels.of(place.location_id)?.label]));
  }
}
