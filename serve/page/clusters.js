// The clusters of the map: their names, which can be changed, and what they look like.

import { $, make } from "./dom.js";
import { clusterColour } from "./points.js";

export class Clusters {
  constructor(app) {
    Object.assign(this, { app, named: [] });
  }

  nameOf(number) {
    if (number < 0) return "no cluster";
    return this.named.find((one) => one.number === number)?.name ?? `cluster ${number}`;
  }

  /** Lists the clusters of a map. */
  show(points) {
    const sizes = new Map();
    for (const number of points.clusters) if (number >= 0) sizes.set(number, (sizes.get(number) ?? 0) + 1);
    const known = new Map(points.named.map((one) => [one.number, one]));
    const numbers = [...sizes.keys()].sort((a, b) => a - b);
    this.named = numbers.map((number) => ({ number, name: `cluster ${number}`, size: sizes.get(number), ...known.get(number) }));
    $("clusters-title").textContent = `${numbers.length} clusters`;
    $("cluster-list").replaceChildren(...this.named.map((one) => this.#row(one)));
  }

  #row(cluster) {
    const { app } = this;
    const swatch = make("i", { className: "swatch" });
    swatch.style.setProperty("--class", clusterColour(cluster.number));
    const name = make("input", { value: cluster.name, title: cluster.suggestion ?? "", maxLength: 100, "aria-label": `Name of cluster ${cluster.number}`, onchange: async () => {
      await app.trying(async () => {
        await app.api.nameCluster(cluster.number, name.value.trim());
        cluster.name = name.value.trim();
      });
      name.value = cluster.name;
    } });
    const picture = make("img", { loading: "lazy", alt: `Places of ${cluster.name}`, src: cluster.montage });
    const montage = make("details", {}, make("summary", { textContent: "Pictures" }), picture);
    picture.onerror = () => montage.replaceChildren(make("summary", { textContent: "No pictures: run voxkin project again" }));
    return make("li", {}, make("div", { className: "cluster" }, swatch, name, make("small", { textContent: `${cluster.size} points` })),
      cluster.suggestion ? make("small", { className: "quiet", textContent: cluster.suggestion }) : null, montage);
  }
}
