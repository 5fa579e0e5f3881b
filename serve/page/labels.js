// The labels of an atlas as this page knows them: class sets, who labels, what is said of each place.

import { Refusal } from "./api.js";

const AUTHOR = "voxkin-author";
const EVERY = 10_000; // ms between looks at what others labelled
const YES_NO = [{ name: "yes", colour: "#22c55e", key: "y" }, { name: "no", colour: "#ef4444", key: "n" }];

/** Dispatches "change" whenever what is known changes, and "trouble" with an Error in `detail`. */
export class Labels extends EventTarget {
  constructor(api) {
    super();
    Object.assign(this, { api, sets: [], set: "", refusal: null, byLocation: new Map(), byId: new Map(), revision: 0 });
    this.started = 0; // numbers the beginnings, so that an answer of before never adds what is gone
    this.turn = Promise.resolve();
  }

  get author() { return localStorage.getItem(AUTHOR) ?? ""; }
  set author(name) { localStorage.setItem(AUTHOR, name.trim()); }

  /** The classes of the set in use: [{ name, colour, key, labels }], each with the key that labels by it. */
  get classes() {
    const classes = this.sets.find(({ name }) => name === this.set)?.classes ?? [];
    const taken = new Set(classes.map(({ key }) => key));
    const free = [..."123456789"].filter((key) => !taken.has(key));
    return classes.map((one) => ({ ...one, key: one.key || free.shift() || "" }));
  }

  colourOf(name) { return this.classes.find((one) => one.name === name)?.colour ?? "#9aa6a5"; }

  /** The label of a location in the set in use; undefined where it has none. */
  of(location) { return this.byLocation.get(String(location)); }

  /** Every label of the set in use, oldest first. */
  get all() { return [...this.byId.values()]; }

  /** Starts to follow an atlas' labels; `set` is used if there is one of that name. */
  async open(set) {
    this.set = set ?? "";
    await this.refresh();
    this.timer = setInterval(() => document.hidden || this.refresh(), EVERY);
  }

  close() {
    clearInterval(this.timer);
    this.started += 1;
  }

  /** Uses another set. */
  async use(set) {
    this.#begin(set);
    await this.refresh();
  }

  /** Asks for what is new. */
  async refresh() {
    const { started } = this;
    try {
      const { sets } = await this.api.labelSets();
      if (started !== this.started) return;
      this.sets = sets;
      this.refusal = null;
      if (!sets.some(({ name }) => name === this.set)) this.set = sets[0]?.name ?? "";
      for (let more = Boolean(this.set); more; ) {
        const news = await this.api.labels(this.set, this.revision);
        if (started !== this.started) return;
        this.#take(news);
        more = news.more;
      }
    } catch (error) {
      this.refusal = error;
    }
    this.#changed();
  }

  /** Makes or changes a class set, and uses it. */
  async putSet(set, classes) {
    await this.api.putLabelSet(set, classes.map(({ name, colour, key }) => ({ name, colour, key })));
    await this.use(set);
  }

  /** A class set of yes and no. */
  async startYesNo() { await this.putSet("yes-no", YES_NO); }

  /**
   * Labels places: [{ position_nm, location_id }]. They show at once, and dashed until the server has
   * them on disk; where it refuses, what was there before comes back.
   */
  async put(places, name) {
    if (!this.author) throw new Refusal("Write your name first, so that others know who labelled.", 0);
    const known = places.filter(({ location_id }) => location_id !== undefined);
    const before = new Map(known.map((place) => [String(place.location_id), this.of(place.location_id)]));
    for (const [location, old] of before) this.byLocation.set(location, { ...old, label: name, pending: true });
    this.#changed();
    try {
      const labels = places.map(({ position_nm }) => ({ position_nm, label: name }));
      const { set, author } = this;
      const answer = await this.#inTurn(() => this.api.addLabels(set, author, labels));
      if (set === this.set) this.#take(answer, false);
    } catch (error) {
      for (const [location, old] of before) {
        if (old) this.byLocation.set(location, old);
        else this.byLocation.delete(location);
      }
      this.#changed();
      throw error;
    }
    this.#changed();
    // The counts of the classes, and what others labelled; once where many are labelled in a row.
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.refresh(), 300);
  }

  /** Takes back this author's newest action; tells what it was. */
  async undo() {
    if (!this.author) throw new Refusal("Write your name first: only your own labels are taken back.", 0);
    const { undone } = await this.#inTurn(() => this.api.undoLabel(this.author));
    await this.use(this.set);
    return undone;
  }

  #begin(set) {
    this.started += 1;
    clearTimeout(this.soon);
    Object.assign(this, { set, revision: 0 });
    this.byLocation.clear();
    this.byId.clear();
  }

  // One change after the other, as they were made: an undo is of the one before it.
  #inTurn(act) {
    const done = this.turn.then(act);
    this.turn = done.catch(() => {});
    return done;
  }

  #take({ labels = [], removed = [], revision }, advances = true) {
    for (const id of removed) {
      const old = this.byId.get(String(id));
      this.byId.delete(String(id));
      if (old && this.of(old.location_id)?.id === old.id) this.byLocation.delete(String(old.location_id));
    }
    for (const label of labels) {
      this.byId.set(String(label.id), label);
      const known = this.of(label.location_id);
      // A place that others labelled too shows what its own author said.
      if (!known || known.pending || known.author !== this.author || label.author === this.author) {
        this.byLocation.set(String(label.location_id), label);
      }
    }
    if (advances && revision !== undefined) this.revision = revision;
  }

  #changed() { this.dispatchEvent(new Event("change")); }
}
