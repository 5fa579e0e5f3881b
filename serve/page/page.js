// The page: click a place in the volume and see the places that look like it.
// Every place is in the URL (#atlas=…&x=…&y=…&z=… in nm), so that a link or "back" leads to it.

import { AXES, SliceView, fovNm, nm } from "./slice.js";

const $ = (id) => document.getElementById(id);
const THUMB = 128; // pixels of a thumbnail, which shows two fields of view
const xyz = (p) => [p.x, p.y, p.z].map(nm).join(", ");
const atlasUrl = (atlas, rest) => `api/atlases/${encodeURIComponent(atlas.name)}/${rest}`;

let atlases = [];
let atlas = null;
let place = null; // what was searched for last
let asked = 0; // numbers the searches, so that a late answer never replaces a newer one

const slice = new SliceView((of, query) => atlasUrl(of, `slice.png?${new URLSearchParams(query)}`), visit);

function make(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

async function fetchJson(path, options) {
  const response = await fetch(path, options).catch(() => {
    throw new Error("The server does not answer. Is voxkin serve still running?");
  });
  if (response.status === 401 && !options) {
    await enter();
    return fetchJson(path);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}.`);
  return answer;
}

// Asks for the token until the server takes it; the browser then shows it with every request.
let entering = null;
function enter() {
  entering ??= new Promise((entered) => {
    $("enter").hidden = false;
    $("token").focus();
    $("enter").onsubmit = async (event) => {
      event.preventDefault();
      const body = JSON.stringify({ token: $("token").value.trim() });
      const headers = { "content-type": "application/json" };
      try {
        await fetchJson("api/session", { method: "POST", headers, body });
      } catch (error) {
        return say(error.message, true);
      }
      say("");
      $("token").value = "";
      $("enter").hidden = true;
      entering = null;
      entered();
    };
  });
  return entering;
}

function say(text, wrong = false) {
  Object.assign($("message"), { textContent: text.charAt(0).toUpperCase() + text.slice(1), hidden: !text });
  $("message").classList.toggle("wrong", wrong);
}

function thumbnails(p) {
  const edge = 2 * Math.max(...[..."xyz"].map((axis) => fovNm(atlas, axis)));
  return make("div", { className: "planes" }, ...Object.entries(AXES).map(([plane, [right, down]]) => {
    const query = new URLSearchParams({ x: p.x, y: p.y, z: p.z, plane, size: THUMB });
    const image = make("img", { alt: `${plane} slice`, loading: "lazy", src: atlasUrl(atlas, `thumb.png?${query}`) });
    const frame = make("div", { className: "fov" });
    const [width, height] = [right, down].map((axis) => (100 * fovNm(atlas, axis)) / edge);
    Object.assign(frame.style, { width: `${width}%`, height: `${height}%`, left: `${50 - width / 2}%`, top: `${50 - height / 2}%` });
    const figure = make("figure", {}, image, frame, make("figcaption", { textContent: plane }));
    image.onerror = () => { figure.classList.add("gone"); image.remove(); };
    return figure;
  }));
}

function hitCard(hit) {
  const p = hit.position_nm;
  const bar = make("i");
  bar.style.width = `${100 * Math.min(1, Math.max(0, hit.similarity))}%`;
  const line = make("div", { className: "hit-line" },
    make("b", { textContent: hit.similarity.toFixed(3) }), make("span", { textContent: xyz(p) }));
  const button = make("button", { title: `Go to ${xyz(p)} nm (location ${hit.location_id})`, onclick: () => visit(p) },
    thumbnails(p), line, make("div", { className: "meter" }, bar));
  return make("li", {}, button);
}

function show(query, hits) {
  slice.mark(query, hits);
  $("hits").replaceChildren(...hits.map(hitCard));
  $("found-title").textContent = hits.length ? `${hits.length} place${hits.length > 1 ? "s" : ""} like it` : "Places like it";
  $("query").hidden = !query;
  if (!query) return;
  const text = make("div", { className: "place" }, make("b", { textContent: "This place" }), make("br"),
    xyz(query), make("br"), make("small", { textContent: "nm (x, y, z)" }));
  $("query").replaceChildren(thumbnails(query), text);
}

async function search() {
  const number = ++asked;
  const query = new URLSearchParams({ ...place, k: $("k").value });
  if ($("separation").value !== "") query.set("min_separation_nm", $("separation").value);
  $("found").setAttribute("aria-busy", "true");
  if (!$("hits").children.length) say("Searching…");
  const answer = await fetchJson(atlasUrl(atlas, `similar?${query}`)).catch((error) => error);
  if (number !== asked) return;
  $("found").setAttribute("aria-busy", "false");
  if (answer instanceof Error) {
    show(null, []);
    say(answer.message, true);
  } else {
    show(answer.query_position_nm, answer.hits);
    say(answer.complete ? "" : answer.reason);
  }
}

function visit(p) {
  const rounded = Object.fromEntries([..."xyz"].map((a) => [a, Math.round(p[a] * 10) / 10]));
  const hash = `#${new URLSearchParams({ atlas: atlas.name, ...rounded })}`;
  if (location.hash === hash) arrive(); else location.hash = hash;
}

function arrive() {
  const asks = new URLSearchParams(location.hash.slice(1));
  const wanted = atlases.find((a) => a.name === asks.get("atlas")) ?? atlas ?? atlases[0];
  if (wanted !== atlas) choose(wanted);
  place = Object.fromEntries([..."xyz"].map((a) => [a, parseFloat(asks.get(a))]));
  if (!Object.values(place).every(Number.isFinite)) {
    place = null;
    return say("Click a place in the picture to find others like it.");
  }
  $("position").value = xyz(place);
  slice.reach(place);
  search();
}

function choose(wanted) {
  atlas = wanted;
  place = null;
  asked += 1; // what is still under way was asked of another atlas
  slice.open(atlas);
  show(null, []);
  const { x, y, z } = atlas.voxel_size_nm;
  $("atlas").value = atlas.name;
  $("position").value = "";
  $("separation").placeholder = nm(Math.max(...[..."xyz"].map((axis) => fovNm(atlas, axis))));
  const count = Number(atlas.index.vectors).toLocaleString("en");
  $("facts").textContent = `${count} locations · voxels of ${[x, y, z].map(nm).join(" × ")} nm (x, y, z)`;
  $("credit").textContent = Object.entries(atlas.attribution).sort().map(([k, v]) => `${k}: ${v}`).join(" · ");
  document.title = `${atlas.name} · voxkin`;
}

$("atlas").addEventListener("change", (event) => {
  location.hash = `#${new URLSearchParams({ atlas: event.target.value })}`;
});
$("goto").addEventListener("submit", (event) => {
  event.preventDefault();
  const numbers = $("position").value.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (numbers.length !== 3 || !numbers.every(Number.isFinite)) say("Write a place as three numbers in nm: x, y, z.", true);
  else if (atlas) visit({ x: numbers[0], y: numbers[1], z: numbers[2] });
});
for (const id of ["k", "separation"]) $(id).addEventListener("change", () => place && search());
addEventListener("hashchange", arrive);

try {
  atlases = (await fetchJson("api/atlases")).atlases;
  $("atlas").replaceChildren(...atlases.map((a) => make("option", { textContent: a.name, value: a.name })));
  arrive();
} catch (error) {
  say(error.message, true);
  $("stage-note").textContent = "Nothing to show";
}
