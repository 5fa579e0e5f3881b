// A list of places as cards, with one of them chosen: arrows move, a class's key labels and moves on.

import { make } from "./dom.js";
import { xyz } from "./places.js";
import { thumbnails } from "./thumbnails.js";

export class Cards {
  /**
   * @param list an ol.
   * @param app  what the panels of the page share; see page.js.
   */
  constructor(list, app) {
    Object.assign(this, { list, app, places: [], cards: [], index: -1 });
    list.addEventListener("focusin", (event) => {
      const index = this.cards.indexOf(event.target.closest("li"));
      if (index >= 0 && index !== this.index) this.choose(index, { focus: false });
    });
  }

  get chosen() { return this.places[this.index] ?? null; }

  /** Shows groups of places: [{ title, places }]; a group without a title has no heading. */
  show(groups) {
    this.places = groups.flatMap(({ places }) => places);
    this.index = this.places.length ? 0 : -1;
    const cards = new Map(this.places.map((place) => [place, this.#card(place)]));
    this.cards = [...cards.values()];
    this.list.replaceChildren(...groups.flatMap(({ title, places }) => [
      ...(title ? [make("li", { className: "group", role: "presentation", textContent: title })] : []),
      ...places.map((place) => cards.get(place)),
    ]));
    this.#mark();
    this.relabel();
  }

  /** Shows the labels as they are now. */
  relabel() {
    const { labels } = this.app;
    this.places.forEach((place, i) => {
      const label = labels?.of(place.location_id);
      const chip = this.cards[i].querySelector(".said");
      chip.hidden = !label;
      chip.textContent = label?.label ?? "";
      chip.classList.toggle("pending", Boolean(label?.pending));
      chip.style.setProperty("--class", label ? labels.colourOf(label.label) : "");
    });
  }

  /** Chooses a card, shows its place in the volume, and may take the focus. */
  choose(index, { focus = true, move = true } = {}) {
    if (!this.places.length) return;
    this.index = Math.max(0, Math.min(index, this.places.length - 1));
    this.#mark();
    if (focus) this.cards[this.index].querySelector(".show").focus({ preventScroll: true });
    if (!move) return;
    this.cards[this.index].scrollIntoView({ block: "nearest" });
    this.app.visit(this.chosen.position_nm);
  }

  /** Labels the chosen place and goes on to the next; the server's answer is not waited for. */
  label(name) {
    if (!this.chosen) return;
    this.app.label([this.chosen], name);
    if (this.index < this.places.length - 1) this.choose(this.index + 1);
  }

  /** Takes a key; tells whether it was one of its own. */
  key(key) {
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.#columns(), ArrowUp: -this.#columns() }[key];
    const act = { Home: () => this.choose(0), End: () => this.choose(Infinity), "+": () => this.app.example(this.chosen, "like"),
      "-": () => this.app.example(this.chosen, "unlike"), f: () => this.app.find(this.chosen.position_nm) }[key];
    if (!this.chosen || !(move || act)) return false;
    if (move) this.choose(this.index + move);
    else act();
    return true;
  }

  #columns() {
    const top = this.cards[0]?.offsetTop;
    return Math.max(1, this.cards.filter((card) => card.offsetTop === top).length);
  }

  #mark() {
    this.cards.forEach((card, i) => {
      card.setAttribute("aria-current", String(i === this.index));
      card.querySelector(".show").tabIndex = i === this.index ? 0 : -1;
    });
  }

  #card(place) {
    const { app } = this;
    const at = xyz(place.position_nm);
    const act = (textContent, title, onclick) => make("button", { className: "act", type: "button", textContent, title, "aria-label": title, tabIndex: -1, onclick });
    const show = make("button", { className: "show", type: "button", title: `Go to ${at} nm (location ${place.location_id})`,
      onclick: () => this.choose(this.places.indexOf(place)), ondblclick: () => app.find(place.position_nm) },
      thumbnails(app.atlas, app.api, place.position_nm), line(place, at));
    return make("li", { className: `card ${place.kind ?? ""}` }, show, make("div", { className: "acts" },
      make("span", { className: "said", hidden: true }),
      act("Find", "Find places like this one (f)", () => app.find(place.position_nm)),
      act("+", "More like this one (+)", () => app.example(place, "like")),
      act("−", "Fewer like this one (-)", () => app.example(place, "unlike"))));
  }
}

function line(place, at) {
  const value = place.similarity === undefined ? place.note ?? "" : place.similarity.toFixed(3);
  const row = make("div", { className: "hit-line" }, make("b", { textContent: value }), make("span", { textContent: at }));
  if (place.why) row.title = place.why;
  if (place.similarity === undefined) return row;
  const bar = make("i");
  bar.style.width = `${100 * Math.min(1, Math.max(0, place.similarity))}%`;
  return make("div", {}, row, make("div", { className: "meter" }, bar));
}
