// A slice through a volume: drawn by the server, moved, zoomed and clicked here.

import { Api } from "./api.js";
import { $, draw as drawn, onPress, press } from "./dom.js";
import { fovNm, nm, voxelOf } from "./places.js";

export const AXES = { xy: ["x", "y", "z"], xz: ["x", "z", "y"], yz: ["z", "y", "x"] }; // right, down, depth

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class SliceView {
  /**
   * @param onPick is called with the place {x, y, z} in nm that was clicked.
   * @param onMove is called with what is in the middle, and how many nm a pixel shows.
   */
  constructor({ onPick, onMove }) {
    Object.assign(this, { onPick, onMove, atlas: null, plane: "xy", at: null, nmPerPixel: 1, place: null, hits: [], labels: [] });
    this.stage = $("stage");
    this.stage.addEventListener("pointerdown", (event) => this.#press(event));
    this.stage.addEventListener("keydown", (event) => this.#key(event));
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) this.#zoom(event.deltaY > 0 ? 1.25 : 0.8);
      else if (event.deltaY) this.#step(Math.sign(event.deltaY));
    }, { passive: false });
    $("depth").addEventListener("input", (event) => this.#move({ [this.axes[2]]: Number(event.target.value) }));
    $("zoom-in").addEventListener("click", () => this.#zoom(0.8));
    $("zoom-out").addEventListener("click", () => this.#zoom(1.25));
    onPress($("plane"), (plane) => this.#turn(plane));
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  get axes() { return AXES[this.plane]; }
  get edge() { return Math.max(this.stage.clientWidth, this.stage.clientHeight); }

  /** Shows an atlas, `at` being the place in the middle. Layers are Neuroglancer's alone. */
  open(atlas, layers, at, nmPerPixel) {
    const { volume_nm: { start, stop }, voxel_size_nm: size } = atlas;
    Object.assign(this, { atlas, plane: "xy", place: null, hits: [], labels: [], at: { ...at } });
    const whole = Math.max(stop.x - start.x, stop.y - start.y);
    const { clientWidth, clientHeight } = this.stage;
    this.nmPerPixel = nmPerPixel ?? Math.min(whole / Math.max(1, Math.min(clientWidth, clientHeight)), 2 * Math.min(size.x, size.y));
    this.draw();
  }

  showLayers() {}

  /** What it shows, as a state of Neuroglancer without layers. */
  get state() {
    const dimensions = Object.fromEntries([..."xyz"].map((axis) => [axis, [this.atlas.voxel_size_nm[axis] * 1e-9, "m"]]));
    return { dimensions, position: Object.values(voxelOf(this.atlas, this.at)) };
  }

  /** Shows labelled places: [{ position_nm, colour }]. */
  showLabels(labels) {
    this.labels = labels;
    this.#drawMarks();
  }

  /** Moves to a place, unless the slice shows it already. */
  reach(place) {
    if (!this.#sees(place, this.atlas.voxel_size_nm)) this.at = { ...place };
    this.draw();
  }

  /** Frames the fields of view of the place that was asked for and of what was found. */
  mark(place, hits) {
    Object.assign(this, { place, hits });
    this.#drawMarks();
  }

  /** Asks the server for the picture and shows it, unless a newer one was asked for meanwhile. */
  draw() {
    // Nothing is asked for while the slice is hidden.
    if (!this.atlas || !this.edge) return;
    const { edge, plane, nmPerPixel } = this;
    const size = clamp(Math.ceil(edge * Math.min(devicePixelRatio, 2)), 16, 1024);
    const url = new Api(this.atlas.name).slice({ ...this.at, plane, size, nm_per_pixel: (edge * nmPerPixel) / size });
    const next = (this.next = new Image());
    next.onload = () => {
      if (this.next !== next) return;
      const image = $("slice");
      Object.assign(image, { src: next.src, hidden: false });
      image.style.width = image.style.height = `${edge}px`;
      this.#note(this.#outside() ? "Outside the volume" : "");
    };
    next.onerror = async () => {
      const answer = await fetch(next.src).then((response) => response.json()).catch(() => ({}));
      if (this.next !== next) return;
      $("slice").hidden = true;
      this.#note(answer.error ?? "The server does not answer.");
    };
    next.src = url;
    this.#drawControls();
    clearTimeout(this.moving);
    this.moving = setTimeout(() => this.onMove(this.at, this.nmPerPixel), 300);
  }

  #sees(place, thickness) {
    const [right, down, depth] = this.axes;
    const near = (axis, width) => Math.abs(place[axis] - this.at[axis]) <= width / 2;
    const { clientWidth, clientHeight } = this.stage;
    return near(depth, thickness[depth]) && near(right, clientWidth * this.nmPerPixel) && near(down, clientHeight * this.nmPerPixel);
  }

  #turn(plane) {
    if (!this.atlas) return;
    // Another plane through the place that is framed, if it is; through the middle otherwise.
    const fov = Object.fromEntries([..."xyz"].map((axis) => [axis, fovNm(this.atlas, axis)]));
    if (this.place && this.#sees(this.place, fov)) this.at = { ...this.place };
    this.plane = plane;
    this.draw();
  }

  #note(text) {
    $("layer").style.transform = "";
    $("stage-note").textContent = text;
    this.#drawMarks();
  }

  #outside() {
    const { start, stop } = this.atlas.volume_nm;
    return [..."xyz"].some((axis) => this.at[axis] < start[axis] || this.at[axis] >= stop[axis]);
  }

  #drawMarks() {
    if (!this.atlas) return;
    const fov = (p, sign) => Object.fromEntries([..."xyz"].map((a) => [a, p[a] + (sign * fovNm(this.atlas, a)) / 2]));
    const box = (low, high, kind) => {
      const [right, down, depth] = this.axes;
      if (this.at[depth] < low[depth] || this.at[depth] > high[depth]) return [];
      const put = { x: this.stage.clientWidth / 2 + (low[right] - this.at[right]) / this.nmPerPixel,
        y: this.stage.clientHeight / 2 + (low[down] - this.at[down]) / this.nmPerPixel,
        width: (high[right] - low[right]) / this.nmPerPixel, height: (high[down] - low[down]) / this.nmPerPixel, class: kind };
      return [drawn("rect", put)];
    };
    const dot = ({ position_nm: p, colour }) => {
      const [right, down, depth] = this.axes;
      if (Math.abs(this.at[depth] - p[depth]) > fovNm(this.atlas, depth) / 2) return [];
      const cx = this.stage.clientWidth / 2 + (p[right] - this.at[right]) / this.nmPerPixel;
      const cy = this.stage.clientHeight / 2 + (p[down] - this.at[down]) / this.nmPerPixel;
      return [drawn("circle", { cx, cy, r: 5, fill: colour, class: "label-mark" })];
    };
    const around = (p, kind) => box(fov(p, -1), fov(p, 1), kind);
    $("marks").replaceChildren(
      ...box(fov(this.atlas.first_location_nm, -1), fov(this.atlas.last_location_nm, 1), "extent-mark"),
      ...this.hits.flatMap((hit) => around(hit.position_nm, "hit-mark")),
      ...(this.place ? around(this.place, "query-mark") : []),
      ...this.labels.flatMap(dot),
    );
  }

  #drawControls() {
    const depth = this.axes[2];
    const { start, stop } = this.atlas.volume_nm;
    const step = this.atlas.voxel_size_nm[depth];
    $("depth-name").textContent = depth;
    Object.assign($("depth"), { min: start[depth] + step / 2, max: stop[depth] - step / 2, step, value: this.at[depth] });
    $("depth-value").textContent = `${nm(this.at[depth])} nm`;
    press($("plane"), this.plane);
    const most = 110 * this.nmPerPixel;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((n) => n * power).find((n) => n <= most);
    $("scale-text").textContent = length >= 1000 ? `${length / 1000} µm` : `${length} nm`;
    $("scale-bar").style.width = `${length / this.nmPerPixel}px`;
  }

  #zoom(factor) {
    if (!this.atlas) return;
    const finest = Math.min(...Object.values(this.atlas.voxel_size_nm));
    // Without a pyramid the server reads every voxel of a picture, and takes 4096 along an edge.
    this.nmPerPixel = clamp(this.nmPerPixel * factor, finest / 16, (4000 * finest) / this.edge);
    this.draw();
  }

  #step(count) {
    if (!this.atlas) return;
    const depth = this.axes[2];
    this.#move({ [depth]: this.at[depth] + count * this.atlas.voxel_size_nm[depth] });
  }

  #move(to) {
    if (!this.atlas) return;
    this.at = this.#clamped({ ...this.at, ...to });
    this.draw();
  }

  #clamped(p) {
    const { start, stop } = this.atlas.volume_nm;
    const half = (axis) => this.atlas.voxel_size_nm[axis] / 2;
    return Object.fromEntries([..."xyz"].map((a) => [a, clamp(p[a], start[a] + half(a), stop[a] - half(a))]));
  }

  #press(down) {
    if (!this.atlas || down.button !== 0) return;
    this.stage.setPointerCapture(down.pointerId);
    const [right, downward] = this.axes;
    const off = (event) => [event.clientX - down.clientX, event.clientY - down.clientY];
    let dragged = false;
    const move = (event) => {
      const [dx, dy] = off(event);
      dragged ||= Math.hypot(dx, dy) > 4;
      this.stage.classList.toggle("dragging", dragged);
      if (dragged) $("layer").style.transform = `translate(${dx}px, ${dy}px)`;
    };
    const end = (event) => {
      for (const [type, handler] of Object.entries(handlers)) this.stage.removeEventListener(type, handler);
      this.stage.classList.remove("dragging");
      const [dx, dy] = off(event).map((pixels) => pixels * this.nmPerPixel);
      const box = this.stage.getBoundingClientRect();
      const offset = (pixels) => pixels * this.nmPerPixel;
      if (event.type === "pointercancel") this.draw();
      else if (dragged) this.#move({ [right]: this.at[right] - dx, [downward]: this.at[downward] - dy });
      else this.onPick(this.#clamped({ ...this.at,
        [right]: this.at[right] + offset(event.clientX - box.left - box.width / 2),
        [downward]: this.at[downward] + offset(event.clientY - box.top - box.height / 2) }));
    };
    const handlers = { pointermove: move, pointerup: end, pointercancel: end };
    for (const [type, handler] of Object.entries(handlers)) this.stage.addEventListener(type, handler);
  }

  #key(event) {
    const action = { Enter: () => this.onPick(this.#clamped(this.at)), ArrowUp: () => this.#step(-1), ArrowDown: () => this.#step(1),
      "+": () => this.#zoom(0.8), "-": () => this.#zoom(1.25) }[event.key];
    if (!action || !this.atlas) return;
    event.preventDefault();
    action();
  }
}
