// The address of the page: every place and panel has one, so that a link or "back" leads to it.
// After the #, as in a query: atlas, x y z (what was searched for, nm), at (what is in view), and so on.

const KEYS = ["atlas", "x", "y", "z", "like", "unlike", "at", "zoom", "tab", "set", "k", "by", "apart", "skip", "mode", "view", "layers", "colour", "cluster"];

/** What the address says: texts by key. */
export function read() {
  const said = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(KEYS.filter((key) => said.has(key)).map((key) => [key, said.get(key)]));
}

function hashOf(state) {
  const said = KEYS.filter((key) => state[key] !== undefined && state[key] !== null && state[key] !== "");
  // Commas and colons need no escape there, and links are read by people.
  return `#${new URLSearchParams(said.map((key) => [key, state[key]]))}`.replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
}

/** Goes to another state: a step that "back" undoes. Tells whether anything is new. */
export function go(changes) {
  const hash = hashOf({ ...read(), ...changes });
  if (hash === location.hash) return false;
  location.hash = hash;
  return true;
}

/** Notes a state without a step, and without calling anybody. */
export function note(changes) {
  history.replaceState(null, "", hashOf({ ...read(), ...changes }));
}

const rounded = (value) => Math.round(value * 10) / 10;

/** A place as text: "x,y,z" in nm, to a tenth. */
export const textOf = (place) => [place.x, place.y, place.z].map(rounded).join(",");

/** The place that a text says; null where it says none. */
export function placeOf(text) {
  const numbers = (text ?? "").split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  if (numbers.length !== 3 || !numbers.every(Number.isFinite)) return null;
  return { x: numbers[0], y: numbers[1], z: numbers[2] };
}

/** The places of a text: "x,y,z;x,y,z". */
export const placesOf = (text) => (text ? text.split(";").map(placeOf).filter(Boolean) : []);
