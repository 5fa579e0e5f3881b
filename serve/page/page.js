// The page: see places, find their like, label them, train on the labels, and see the whole volume so.
// Everything that can be come back to is in the address; this file takes it up and hands it out.

import { go, note, placeOf, placesOf, read, textOf } from "./address.js";
import { Api, listAtlases, whenLocked } from "./api.js";
import { Clusters } from "./clusters.js";
import { $, onPress, press, setOptions } from "./dom.js";
import { Found } from "./found.js";
import { LabelBar } from "./labelbar.js";
import { Labels } from "./labels.js";
import { Layers } from "./layers.js";
import { nm, parsePlace, xyz } from "./places.js";
import { ProbePanel } from "./probes.js";
import { enter } from "./session.js";
import { copyText, tidyMenus } from "./sheets.js";
import { UmapPanel } from "./umap.js";
import { View } from "./view.js";

const PANELS = { found: "found", probe: "probe-panel", umap: "umap" };
const NO_LABELS = { of: () => undefined, colourOf: () => "#9aa6a5", classes: [], sets: [], set: "", all: [] };

let atlases = [];
let arrivals = 0; // numbers the atlases that were chosen, so that a late answer never replaces a newer one
let pick = "find"; // what a click does
let hand = ""; // the class that a click labels with

// What the panels share.
const app = {
  atlas: null, api: null, labels: NO_LABELS, tab: "found",
  say, visit, find, example, goTo, trying, label, labelChosen,
};
app.view = new View({ onPick: picked, onMove: moved, onKey: (event) => labelKey(event.key) && plain(event), onNote: (text) => say(text, true) });
app.layers = new Layers(app, (layers) => {
  app.view.showLayers(layers);
  note({ layers: layers.filter(({ visible }) => visible).map(({ id }) => id).join(",") });
  probe.show();
});
app.found = new Found(app);
const bar = new LabelBar(app);
const probe = new ProbePanel(app);
const clusters = new Clusters(app);
const umap = new UmapPanel(app, clusters);
const cards = { found: app.found.cards, probe: probe.cards, umap: umap.cards };

function say(text, wrong = false) {
  Object.assign($("message"), { textContent: text.charAt(0).toUpperCase() + text.slice(1), hidden: !text });
  $("message").classList.toggle("wrong", wrong);
}

/** Does something, and says so where the server refuses it. */
async function trying(act) {
  try {
    return await act();
  } catch (error) {
    say(error.message, true);
    return null;
  }
}

function goTo(changes) {
  if (!go(changes)) arrive();
}

/** Shows a place in the middle. */
function visit(place) {
  app.view.reach(place);
  note({ at: textOf(place) });
}

/** Finds the places like one. */
function find(place) {
  const [x, y, z] = textOf(place).split(",");
  goTo({ x, y, z, at: textOf(place), like: "", unlike: "", tab: "" });
}

/** Adds an example to the search: sign is "like" or "unlike". */
function example(place, sign) {
  const said = read();
  if (sign === "like" && said.x === undefined) return find(place.position_nm);
  if (said.x === undefined) return say("Find places like one first; then say what they should be unlike.", true);
  const text = textOf(place.position_nm);
  const other = sign === "like" ? "unlike" : "like";
  const without = (key) => placesOf(said[key]).map(textOf).filter((one) => one !== text);
  goTo({ [sign]: [...without(sign), text].join(";"), [other]: without(other).join(";"), tab: "" });
}

function label(places, name) {
  hand = name;
  showHand();
  return trying(() => app.labels.put(places, name));
}

/** Labels the place that is chosen in the panel in view; in hand for clicks in any case. */
function labelChosen(name) {
  hand = name;
  showHand();
  cards[app.tab].label(name);
}

function showHand() {
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", String(pick === "label" && chip.children[1].textContent === hand));
}

function picked(place) {
  if (pick === "find") return find(place);
  if (pick !== "label") return example({ position_nm: place }, pick);
  hand ||= app.labels.classes[0]?.name ?? "";
  if (!hand) return say("Make classes first, then click to label.", true);
  return label([{ position_nm: place }], hand);
}

function moved(at, zoom) {
  note({ at: textOf(at), zoom: String(Math.round(zoom * 1000) / 1000) });
}

const plain = (event) => !(event.ctrlKey || event.metaKey || event.altKey);

/** Takes a key of a class, or of undo. */
function labelKey(key) {
  const name = bar.classOf(key);
  if (name) labelChosen(name);
  else if (key === "u" && app.labels.sets.length) bar.undo();
  else return false;
  return true;
}

function relabelled() {
  bar.show();
  showHand();
  app.found.relabel();
  probe.relabel();
  umap.relabel();
  const { labels } = app;
  app.view.showLabels(labels.all.map((one) => ({ position_nm: one.position_nm, colour: labels.colourOf(one.label), text: `${one.label} (${one.author})` })));
}

/** Takes up what the address says. */
async function arrive() {
  const said = read();
  const wanted = atlases.find(({ name }) => name === said.atlas) ?? app.atlas ?? atlases[0];
  if (!wanted) return say("This server has no atlas.", true);
  if (said.atlas && wanted.name !== said.atlas) say(`No atlas “${said.atlas}” here; this is “${wanted.name}”.`, true);
  if (wanted !== app.atlas && !(await choose(wanted, said))) return;
  const tab = said.tab in PANELS ? said.tab : "found";
  if (tab !== app.tab) say("");
  app.tab = tab;
  for (const [name, panel] of Object.entries(PANELS)) {
    $(panel).hidden = name !== tab;
    $(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
  }
  if (said.set && said.set !== app.labels.set) await app.labels.use(said.set);
  const at = placeOf(said.at);
  if (at && textOf(app.view.at) !== textOf(at)) app.view.reach(at);
  $("position").value = at ? xyz(at) : "";
  $("unit").value = "nm";
  if (!app.found.arrive() && app.tab === "found") say(`${document.body.dataset.view === "slices" ? "Click" : "Shift + click"} a place in the volume to find others like it.`);
  if (app.tab === "umap") umap.look(said.colour);
}

async function choose(wanted, said) {
  const number = ++arrivals;
  app.labels.close?.();
  Object.assign(app, { atlas: wanted, api: new Api(wanted.name) });
  describe(wanted);
  const { labels } = Object.assign(app, { labels: new Labels(app.api) });
  labels.addEventListener("change", () => labels === app.labels && relabelled());
  await app.layers.open(said.layers);
  if (number !== arrivals) return false;
  const kind = app.layers.listed.length ? said.view : "slices";
  app.view.open(wanted, app.layers.all, placeOf(said.at ?? `${said.x},${said.y},${said.z}`) ?? undefined, Number(said.zoom) || undefined);
  app.found.open(wanted);
  umap.open();
  app.view.use(kind);
  labels.open(said.set).then(() => {
    if (number !== arrivals) return;
    probe.open();
    app.found.arrive(); // again where what is labelled is to be left out
  });
  return true;
}

function describe(atlas) {
  const { x, y, z } = atlas.voxel_size_nm;
  $("atlas").value = atlas.name;
  const count = Number(atlas.index.vectors).toLocaleString("en");
  $("facts").textContent = `${count} locations · voxels of ${[x, y, z].map(nm).join(" × ")} nm (x, y, z)`;
  $("credit").textContent = Object.entries(atlas.attribution).sort().map(([k, v]) => `${k}: ${v}`).join(" · ");
  document.title = `${atlas.name} · voxkin`;
}

$("atlas").addEventListener("change", (event) => { location.hash = `#${new URLSearchParams({ atlas: event.target.value })}`; });
$("goto").addEventListener("submit", (event) => {
  event.preventDefault();
  trying(async () => {
    const place = parsePlace($("position").value, $("unit").value, app.atlas);
    say("");
    goTo({ at: textOf(place) });
  });
});
onPress($("view-kind"), (view) => {
  note({ view });
  app.view.use(view);
});
onPress($("pick"), (value) => {
  pick = value;
  press($("pick"), pick);
  showHand();
});
onPress($("tabs"), (tab) => goTo({ tab: tab === "found" ? "" : tab }));
onPress($("panels"), (layout) => {
  press($("panels"), layout);
  app.view.views.neuroglancer.arrange(layout);
});
$("controls").addEventListener("change", () => app.view.views.neuroglancer.showControls($("controls").checked));
$("copy-link").addEventListener("click", () => copyText(location.href, say));
$("copy-state").addEventListener("click", () => copyText(JSON.stringify(app.view.state, null, 1), say));
$("help-open").addEventListener("click", () => $("help").showModal());

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || !plain(event) || event.target.closest("input, select, textarea, dialog, #stage")) return;
  const mine = labelKey(event.key) || cards[app.tab].key(event.key) || otherKey(event.key);
  if (mine) event.preventDefault();
});

function otherKey(key) {
  if (key === "/") $("position").select();
  else if (key === "?") $("help").showModal();
  else return false;
  return true;
}

addEventListener("hashchange", arrive);
tidyMenus();
press($("pick"), pick);
whenLocked(() => enter(say));
await trying(async () => {
  atlases = await listAtlases();
  setOptions($("atlas"), atlases.map(({ name }) => [name, name]), "");
  await arrive();
});
