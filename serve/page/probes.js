// The probe of the class set in use: train it, see how good it is, see its map, label what it suggests.

import { Cards } from "./cards.js";
import { learningCurve } from "./curve.js";
import { $, make, onPress, press } from "./dom.js";

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

export class ProbePanel {
  constructor(app) {
    Object.assign(this, { app, probes: [], kind: "mixed", asked: 0 });
    this.cards = new Cards($("suggestions"), app);
    $("train").addEventListener("click", () => this.train());
    $("suggest").addEventListener("click", () => this.suggest());
    $("suggest-class").addEventListener("change", () => this.suggest());
    onPress($("suggest-kind"), (kind) => {
      this.kind = kind;
      press($("suggest-kind"), kind);
      this.suggest();
    });
    press($("suggest-kind"), this.kind);
  }

  /** The probe of the class set in use, if it was trained. */
  get probe() { return this.probes.find(({ name }) => name === nameOf(this.app.labels.set)) ?? null; }

  async open() {
    this.asked += 1;
    this.probes = [];
    this.cards.show([]);
    await this.refresh();
  }

  async refresh() {
    try {
      this.probes = (await this.app.api.probes()).probes;
      this.refusal = null;
    } catch (error) {
      this.refusal = error;
    }
    this.show();
  }

  /** Shows labels as they are now. */
  relabel() {
    this.cards.relabel();
    this.show();
  }

  async train() {
    const { app } = this;
    $("train").disabled = true;
    $("train-news").textContent = "Training…";
    try {
      const { probe, seconds } = await app.api.trainProbe(nameOf(app.labels.set), app.labels.set);
      this.probes = [...this.probes.filter(({ name }) => name !== probe.name), probe];
      $("train-news").textContent = `Trained in ${seconds.toFixed(2)} s.`;
      // Of two classes the map of one says all; of more the map of the likeliest does.
      const label = probe.classes.length === 2 ? app.labels.classes[0]?.name : "";
      await app.layers.refresh({ probe: probe.name, label });
      this.show();
      this.suggest();
    } catch (error) {
      $("train-news").textContent = "";
      app.say(error.message, true);
    }
    $("train").disabled = false;
  }

  async suggest() {
    const { app, probe } = this;
    if (!probe) return;
    const number = ++this.asked;
    $("suggestions").setAttribute("aria-busy", "true");
    try {
      const { places } = await app.api.suggestions(probe.name, { k: 12, kind: this.kind, label: this.kind === "likely" ? $("suggest-class").value : "" });
      if (number !== this.asked) return;
      this.cards.show([{ places: places.map(noted) }]);
      $("suggest-news").textContent = places.length ? "" : "No more of these to suggest: label a few others and train again.";
      if (places.length) this.cards.choose(0, { focus: app.tab === "probe", move: false });
    } catch (error) {
      if (number === this.asked) $("suggest-news").textContent = error.message;
    } finally {
      if (number === this.asked) $("suggestions").setAttribute("aria-busy", "false");
    }
  }

  show() {
    const { labels } = this.app;
    const { probe, refusal } = this;
    const counts = labels.classes.filter((one) => one.labels > 0);
    $("probe-empty").hidden = Boolean(probe);
    $("probe-empty").textContent = refusal ? refusal.message : !labels.set ? "Make a class set first, then label places of at least two classes." :
      counts.length < 2 ? `Label at least two places of each of two classes of “${labels.set}”, then train.` : `Labels of ${counts.length} classes of “${labels.set}” are ready to train on.`;
    $("train").hidden = Boolean(refusal) || !labels.set;
    $("train").textContent = probe ? "Train again" : "Train";
    $("probe").hidden = $("suggesting").hidden = !probe;
    if (probe) this.#describe(probe);
  }

  #describe(probe) {
    const { labels, layers } = this.app;
    const precision = probe.scores?.average_precision ?? {};
    const head = ["Class", "Labels", "AP", "In volume", "Map"].map((textContent) => make("th", { scope: "col", textContent }));
    const row = (name) => {
      const swatch = make("i", { className: "swatch" });
      swatch.style.setProperty("--class", labels.colourOf(name));
      const cell = (textContent) => make("td", { textContent });
      const layer = layers.ofProbe(probe.name, name);
      return make("tr", {}, make("th", { scope: "row" }, swatch, name), cell(probe.labels[name] ?? 0),
        cell(precision[name] === undefined ? "–" : precision[name].toFixed(2)), cell(probe.prior?.[name] === undefined ? "–" : percent(probe.prior[name])),
        make("td", {}, layer ? layers.toggle(layer, `Map of ${name}`) : "–"));
    };
    $("probe-classes").replaceChildren(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...probe.classes.map(row)));
    const { balanced_accuracy: accuracy, f1, folds } = probe.scores ?? {};
    $("probe-score").textContent = probe.scores
      ? `Balanced accuracy ${accuracy.toFixed(2)}, F1 ${f1.toFixed(2)}, in ${folds} parts of space that it did not see. Version ${probe.version ?? 1}.`
      : `No scores: ${probe.unscored}`;
    $("probe-curve").replaceChildren(...(probe.learning_curve?.length > 1 ? [learningCurve(probe.learning_curve)] : []));
    const chosen = $("suggest-class").value;
    $("suggest-class").replaceChildren(...probe.classes.map((name) => make("option", { value: name, textContent: name })));
    if (probe.classes.includes(chosen)) $("suggest-class").value = chosen;
    $("suggest-class-field").hidden = this.kind !== "likely";
  }
}

// Of a class set's probe; names of probes have fewer letters than those of sets.
const nameOf = (set) => set.toLowerCase().replace(/[^a-z0-9_-]+/g, "-").slice(0, 64);

function noted(place) {
  const [name, sure] = Object.entries(place.probabilities ?? {}).sort((a, b) => b[1] - a[1])[0] ?? ["", 0];
  return { ...place, note: `${sure.toFixed(2)} ${name}` };
}
