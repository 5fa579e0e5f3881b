// A place in pictures: three slices through it, two fields of view wide.

import { make } from "./dom.js";
import { fovNm } from "./places.js";
import { AXES } from "./slice.js";

const EDGE = 128; // pixels

/** The three slices, with the field of view framed in each. */
export function thumbnails(atlas, api, place) {
  const edge = 2 * Math.max(...[..."xyz"].map((axis) => fovNm(atlas, axis)));
  return make("div", { className: "planes" }, ...Object.entries(AXES).map(([plane, [right, down]]) => {
    const image = make("img", { alt: `${plane} slice`, loading: "lazy", draggable: false, src: api.thumbnail(place, plane, EDGE) });
    const frame = make("div", { className: "fov" });
    const [width, height] = [right, down].map((axis) => (100 * fovNm(atlas, axis)) / edge);
    Object.assign(frame.style, { width: `${width}%`, height: `${height}%`, left: `${50 - width / 2}%`, top: `${50 - height / 2}%` });
    const figure = make("figure", {}, image, frame, make("figcaption", { textContent: plane }));
    image.onerror = () => { figure.classList.add("gone"); image.remove(); };
    return figure;
  }));
}
