// What the page asks of the server. Addresses are relative, so that a proxy may put the page anywhere.

/** What the server refused, in its own words, with the HTTP status; 0 where it did not answer. */
export class Refusal extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

let unlock = () => Promise.reject(new Refusal("This server asks for a token.", 401));

/** Says what to do until the server lets the page in. */
export function whenLocked(enter) {
  unlock = enter;
}

/**
 * The answer to a request, parsed.
 * @param options.body is sent as JSON; a Blob is sent as it is.
 * @throws Refusal
 */
export async function ask(path, { method = "GET", body } = {}) {
  const json = body !== undefined && !(body instanceof Blob);
  const response = await fetch(path, {
    method,
    headers: json ? { "content-type": "application/json" } : {},
    body: json ? JSON.stringify(body) : body,
  }).catch(() => {
    throw new Refusal("The server does not answer. Is voxkin serve still running?", 0);
  });
  if (response.status === 401 && path !== "api/session") {
    await unlock();
    return ask(path, { method, body });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(answer.error ?? `The server answered ${response.status}.`, response.status);
  return answer;
}

export const listAtlases = async () => (await ask("api/atlases")).atlases;

/** Everything that can be asked of one atlas. Places are {x, y, z} in nm. */
export class Api {
  constructor(name) {
    this.root = `api/atlases/${encodeURIComponent(name)}`;
  }

  url(path, query = {}) {
    const said = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const whole = path ? `${this.root}/${path}` : this.root;
    return said.length ? `${whole}?${new URLSearchParams(said)}` : whole;
  }

  #get(path, query) { return ask(this.url(path, query)); }
  #send(method, path, body, query) { return ask(this.url(path, query), { method, body }); }

  slice(query) { return this.url("slice.png", query); }
  thumbnail(place, plane, size) { return this.url("thumb.png", { ...place, plane, size }); }

  describe() { return this.#get(""); }
  similar(place, rules) { return this.#get("similar", { ...place, ...rules }); }
  find(search) { return this.#send("POST", "find", search); }
  similarity(search) { return this.#send("POST", "similarity", search); }
  layers() { return this.#get("layers"); }

  labelSets() { return this.#get("label-sets"); }
  putLabelSet(set, classes) { return this.#send("PUT", `label-sets/${encodeURIComponent(set)}`, { classes }); }
  labels(set, after) { return this.#get("labels", { set, after }); }
  addLabels(set, author, labels) { return this.#send("POST", "labels", { set, author, labels }); }
  removeLabel(id, author) { return this.#send("DELETE", `labels/${encodeURIComponent(id)}`, undefined, { author }); }
  undoLabel(author) { return this.#send("POST", "labels/undo", { author }); }
  exportLabels(set, format) { return this.url("labels/export", { set, format }); }
  importLabels(set, format, author, file, resolution) {
    return this.#send("POST", "labels/import", file, { set, format, author, file: file.name, ...(resolution && { resolution }) });
  }

  probes() { return this.#get("probes"); }
  trainProbe(name, set) { return this.#send("POST", "probes", { name, set }); }
  suggestions(probe, query) { return this.#get(`probes/${encodeURIComponent(probe)}/suggestions`, query); }

  projection() { return this.#get("projection"); }
  projectionProgress() { return this.#get("projection/progress"); }
  startProjection() { return this.#send("POST", "projection", {}); }
  placeOnProjection(place) { return this.#get("projection/place", place); }
  projectionValues(kind, search) { return this.#send("POST", "projection/values", { kind, ...search }); }
  nameCluster(number, name) { return this.#send("PUT", `clusters/${number}`, { name }); }
}
