// Places like an example or several: the search, its rules and what it found.

import { note, placesOf, read, textOf } from "./address.js";
import { Cards } from "./cards.js";
import { hitsTable, saveText } from "./download.js";
import { $, make } from "./dom.js";
import { fovNm, nm, xyz } from "./places.js";

const GROUPS = {
  spread: null,
  place: (hit, groups, atlas) => {
    const reach = Math.max(...[..."xyz"].map((axis) => fovNm(atlas, axis)));
    const near = groups.find(({ places: [first] }) => distance(first.position_nm, hit.position_nm) < reach);
    return near?.title ?? `Around ${xyz(hit.position_nm)}`;
  },
  example: (hit) => (hit.example === undefined ? "Of the query" : `Most like example ${hit.example + 1}`),
  segment: (hit) => (hit.segment_id && hit.segment_id !== "0" ? `Segment ${hit.segment_id}` : "In no segment"),
};

// How much what is typical of the atlas is taken off, where what is rare is asked for.
const TYPICAL = 0.5;

const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y, a.z - b.z);

export class Found {
  constructor(app) {
    this.app = app;
    this.cards = new Cards($("hits"), app);
    this.asked = 0; // numbers the searches, so that a late answer never replaces a newer one
    this.hits = [];
    for (const id of ["k", "by", "separation", "unlabelled", "mode", "grouping"]) $(id).addEventListener("change", () => this.#rules());
    $("examples-clear").addEventListener("click", () => app.goTo({ like: "", unlike: "" }));
    $("hits-csv").addEventListener("click", () => saveText(`${app.atlas.name}-hits.csv`, hitsTable(this.hits)));
    $("like-layer").addEventListener("click", () => app.layers.addSimilarity(this.query));
  }

  /** Another atlas: nothing was asked of it yet. */
  open(atlas) {
    this.asked += 1;
    $("separation").placeholder = nm(Math.max(...[..."xyz"].map((axis) => fovNm(atlas, axis))));
    this.#show(null, []);
    this.query = null;
    this.signature = null;
  }

  /** Takes up what the address says. Tells whether there was something to search for. */
  arrive() {
    const said = read();
    const at = placesOf(said.x !== undefined ? `${said.x},${said.y},${said.z}` : "");
    const more = placesOf(said.like);
    const unlike = placesOf(said.unlike);
    $("k").value = said.k ?? "12";
    $("separation").value = said.apart ?? "";
    $("mode").value = said.mode ?? "average";
    $("by").value = said.by ?? "all";
    $("unlabelled").checked = said.skip === "labelled";
    const like = [...at, ...more];
    this.#showExamples(like, unlike);
    if (!like.length) {
      this.query = null;
      return false;
    }
    const rare = $("by").value === "rare" && $("mode").value !== "linear";
    this.query = { like, unlike, mode: $("mode").value, typical_weight: rare ? TYPICAL : 0 };
    const signature = JSON.stringify([this.query, this.#asked()]);
    if (signature !== this.signature) {
      this.signature = signature;
      this.search();
    }
    return true;
  }

  async search() {
    const { app, query } = this;
    const number = ++this.asked;
    const rules = this.#asked();
    $("found").setAttribute("aria-busy", "true");
    if (!this.hits.length) app.say("Searching…");
    const single = query.like.length === 1 && !query.unlike.length && !query.typical_weight && !rules.filters;
    const asking = single ? app.api.similar(query.like[0], rules) : app.api.find({ ...query, ...rules });
    const answer = await asking.catch((error) => error);
    if (number !== this.asked) return;
    $("found").setAttribute("aria-busy", "false");
    if (answer instanceof Error) {
      this.#show(null, []);
      this.signature = null; // The same may be asked again.
      return app.say(answer.message, true);
    }
    this.#show(answer.query_position_nm ?? null, answer.hits, answer.query_location_id);
    app.say(answer.complete ? "" : answer.reason);
  }

  /** Shows labels as they are now. */
  relabel() {
    $("unlabelled-field").hidden = !this.app.labels.all.length && !$("unlabelled").checked;
    this.cards.relabel();
  }

  /** How many places, how far apart, and which. */
  #asked() {
    const rules = { k: Number($("k").value), min_separation_nm: this.#separation() };
    const set = $("unlabelled").checked && this.app.labels.set;
    return set ? { ...rules, filters: { not_labels: [{ label_set: set }] } } : rules;
  }

  #separation() {
    const said = $("separation").value;
    if (said !== "") return Number(said);
    // What is grouped by place lies near each other.
    return $("grouping").value === "place" ? 0 : null;
  }

  #rules() {
    note({ k: $("k").value === "12" ? "" : $("k").value, by: $("by").value === "all" ? "" : $("by").value, apart: $("separation").value, skip: $("unlabelled").checked ? "labelled" : "", mode: $("mode").value === "average" ? "" : $("mode").value });
    if (this.query) this.arrive();
    this.#list();
  }

  #show(query, hits, location) {
    this.hits = hits;
    this.place = query ? { position_nm: query, location_id: location, kind: "query", note: "This place" } : null;
    this.app.view.mark(query, hits);
    $("found-title").textContent = hits.length ? `${hits.length} place${hits.length > 1 ? "s" : ""} like ${this.query?.like.length > 1 ? "these" : "it"}` : "Places like it";
    $("hits-csv").hidden = $("like-layer").hidden = !hits.length;
    this.#list();
    if (hits.length) this.cards.choose(0, { move: false, focus: false });
  }

  #list() {
    const group = GROUPS[$("grouping").value];
    const first = this.place ? [{ places: [this.place] }] : [];
    if (!group) return this.cards.show([...first, { places: this.hits }]);
    const groups = [];
    for (const hit of this.hits) {
      const title = group(hit, groups, this.app.atlas);
      const found = groups.find((one) => one.title === title);
      if (found) found.places.push(hit);
      else groups.push({ title, places: [hit] });
    }
    this.cards.show([...first, ...groups.map(({ title, places }) => ({ title: `${title} · ${places.length}`, places }))]);
  }

  #showExamples(like, unlike) {
    const several = like.length + unlike.length > 1;
    $("examples").hidden = !several && !unlike.length;
    const chip = (sign) => (place, i) => make("button", { type: "button", className: `example ${sign}`, title: `Leave out ${xyz(place)} nm`,
      textContent: `${sign === "like" ? "+" : "−"} ${xyz(place)} ✕`, onclick: () => this.#drop(sign, i) });
    $("example-list").replaceChildren(...like.map(chip("like")), ...unlike.map(chip("unlike")));
    $("mode-field").hidden = !several;
    $("by").disabled = several && $("mode").value === "linear";
  }

  #drop(sign, index) {
    const { like, unlike } = this.query ?? { like: [], unlike: [] };
    const left = { like: [...like], unlike: [...unlike] };
    left[sign].splice(index, 1);
    const [first, ...rest] = left.like;
    this.app.goTo({ x: first?.x ?? "", y: first?.y ?? "", z: first?.z ?? "", like: rest.map(textOf).join(";"), unlike: left.unlike.map(textOf).join(";") });
  }
}
