// The classes as chips with their keys, who labels, undo, import and export.

import { $, make, setOptions } from "./dom.js";
import { editClasses } from "./classes.js";

const NEW = " new";

export class LabelBar {
  constructor(app) {
    this.app = app;
    $("author").value = localStorage.getItem("voxkin-author") ?? "";
    $("author").addEventListener("input", () => { app.labels.author = $("author").value; });
    $("set").addEventListener("change", () => this.#chooseSet($("set").value));
    $("undo").addEventListener("click", () => this.undo());
    $("edit-classes").addEventListener("click", () => this.#edit(app.labels.set, app.labels.classes));
    $("yes-no").addEventListener("click", () => app.trying(() => app.labels.startYesNo()));
    $("new-set").addEventListener("click", () => this.#edit("", []));
    $("import").addEventListener("change", () => this.#import());
    $("import-format").addEventListener("change", (event) => { $("import-resolution").hidden = event.target.value !== "cave"; });
  }

  /** Shows the labels as they are now. */
  show() {
    const { labels, api } = this.app;
    const { sets, set, classes, refusal } = labels;
    $("label-trouble").hidden = !refusal;
    $("label-trouble").textContent = refusal ? `No labels here: ${refusal.message}` : "";
    $("no-set").hidden = Boolean(refusal) || sets.length > 0;
    $("labelling").hidden = Boolean(refusal) || !sets.length;
    setOptions($("set"), [...sets.map(({ name }) => [name, name]), [NEW, "New set…"]], set);
    $("chips").replaceChildren(...classes.map(({ name, colour, key, labels: count }) => {
      const chip = make("button", { type: "button", className: "chip", title: `Label the chosen place “${name}”${key ? `: ${key}` : ""}`,
        onclick: () => this.app.labelChosen(name) },
        make("kbd", { textContent: key }), make("span", { textContent: name }), make("small", { textContent: count ?? 0 }));
      chip.style.setProperty("--class", colour);
      return chip;
    }));
    for (const format of ["csv", "cave", "precomputed"]) $(`export-${format}`).href = api.exportLabels(set, format);
  }

  /** The class that a key stands for. */
  classOf(key) { return this.app.labels.classes.find((one) => one.key === key)?.name; }

  async undo() {
    await this.app.trying(async () => this.app.say(await this.app.labels.undo()));
  }

  #chooseSet(name) {
    if (name === NEW) return this.#edit("", []);
    this.app.goTo({ set: name });
  }

  async #edit(set, classes) {
    this.show();
    const made = await editClasses(set, classes, (name, rows) => this.app.labels.putSet(name, rows));
    if (made) this.app.goTo({ set: made });
  }

  async #import() {
    const { app } = this;
    const [file] = $("import").files;
    if (!file) return;
    $("import").value = "";
    await app.trying(async () => {
      if (!app.labels.author) throw new Error("Write your name first, so that others know who imported.");
      const format = $("import-format").value;
      // CAVE's tables do not say themselves in which voxels their positions are.
      const resolution = format === "cave" ? $("import-resolution").value.split(/[\s,;]+/).filter(Boolean).join(",") : "";
      const { imported, skipped } = await app.api.importLabels(app.labels.set, format, app.labels.author, file, resolution);
      const [first] = skipped;
      app.say(`${imported} labels imported${first ? `, ${skipped.length} skipped; the first on line ${first.line}: ${first.why}` : ""}.`, skipped.length > 0);
      await app.labels.use(app.labels.set);
    });
  }
}
