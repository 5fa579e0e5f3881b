// A learning curve as a small drawing: the score against the number of labels, with its spread.

import { draw, make } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 130;
const LEFT = 34;
const BOTTOM = 26;
const TOP = 8;
const RIGHT = 10;

/** @param points [{ labels, score, deviation }] in the order of labels. */
export function learningCurve(points) {
  const most = Math.log(Math.max(...points.map(({ labels }) => labels)));
  const least = Math.log(Math.max(1, Math.min(...points.map(({ labels }) => labels))));
  // A logarithmic axis: twice as many labels is one step, wherever one is.
  const x = (labels) => LEFT + ((WIDTH - LEFT - RIGHT) * (Math.log(Math.max(1, labels)) - least)) / Math.max(most - least, 1e-9);
  const y = (score) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.min(1, Math.max(0, score)));
  const text = (at, down, said, anchor) => draw("text", { x: at, y: down, "text-anchor": anchor }, said);
  const edge = (sign) => points.map(({ labels, score, deviation }) => `${x(labels)},${y(score + sign * (deviation ?? 0))}`);
  const last = points.at(-1);
  const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "curve", role: "img",
    "aria-label": `Learning curve: ${points.map(({ labels, score }) => `${score.toFixed(2)} with ${labels} labels`).join(", ")}` },
    ...[0, 0.5, 1].flatMap((score) => [
      draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(score), y2: y(score), class: "grid" }),
      text(LEFT - 6, y(score) + 4, String(score), "end"),
    ]),
    draw("polygon", { points: [...edge(1), ...edge(-1).reverse()].join(" "), class: "spread" }),
    draw("polyline", { points: edge(0).join(" "), class: "mean" }),
    ...points.map(({ labels, score }) => draw("circle", { cx: x(labels), cy: y(score), r: 2.5 })),
    ...points.filter((_, i) => i % Math.ceil(points.length / 6) === 0 || i === points.length - 1).map(({ labels }) => text(x(labels), HEIGHT - 10, String(labels), "middle")));
  return make("figure", { className: "curve-figure" }, picture,
    make("figcaption", { textContent: `Score against labels; now ${last.score.toFixed(2)} ± ${(last.deviation ?? 0).toFixed(2)}` }));
}
