// The points of a map, out of the packed numbers that the server sends.

// As in the picture and in the layer (serve/clusters/picture.py); clusters may be many, so they come round again.
const COLOURS = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#9c755f", "#edc948", "#76b7b2", "#ff9da7", "#1b5e20", "#6a3d9a", "#b15928"];

/** The colour of a cluster; grey for none. */
export const clusterColour = (number) => (number < 0 ? "#8b9493" : COLOURS[number % COLOURS.length]);

function unpack(text, Numbers) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Numbers(bytes.buffer);
}

/** { count, ids, x, y, clusters, place(i) } of an answer; ids are texts, as they may be of 64 bits. */
export function readPoints(answer) {
  const ids = [...unpack(answer.location_ids, BigUint64Array)].map(String);
  const xy = unpack(answer.points, Float32Array);
  const nm = unpack(answer.positions_nm, Float64Array);
  const clusters = [...unpack(answer.clusters, Int32Array)];
  const x = ids.map((_, i) => xy[2 * i]);
  const y = ids.map((_, i) => xy[2 * i + 1]);
  const place = (i) => ({
    location_id: ids[i], position_nm: { x: nm[3 * i], y: nm[3 * i + 1], z: nm[3 * i + 2] },
    umap_x: x[i], umap_y: y[i], cluster: clusters[i],
  });
  return { count: ids.length, ids, x, y, clusters, named: answer.named_clusters ?? [], place };
}
