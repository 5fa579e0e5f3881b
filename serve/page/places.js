// Places as people write, read and paste them.

/** A length in nm as people read it, to a tenth. */
export const nm = (value) => String(Math.round(value * 10) / 10);

/** A place as people read it, in nm. */
export const xyz = (place) => [place.x, place.y, place.z].map(nm).join(", ");

/** The edge of a field of view along an axis, in nm. */
export const fovNm = (atlas, axis) => atlas.fov_voxels[axis] * atlas.voxel_size_nm[axis];

/** The place in voxels of the atlas, as Neuroglancer and CloudVolume count them. */
export function voxelOf(atlas, place) {
  return Object.fromEntries([..."xyz"].map((axis) => [axis, place[axis] / atlas.voxel_size_nm[axis]]));
}

/**
 * The place that somebody typed or pasted: three numbers, a Neuroglancer link, or its state as JSON.
 * Of a link only the position and its unit are taken, never a source.
 * @param unit "nm" or "voxel": of bare numbers.
 * @throws Error that says what would be understood.
 */
export function parsePlace(text, unit, atlas) {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) return placeOfState(parseJson(trimmed), atlas);
  if (trimmed.includes("://") || trimmed.includes("#!")) return placeOfLink(trimmed, atlas);
  const numbers = trimmed.replace(/^[[(]|[\])]$/g, "").split(/[\s,;]+/).filter(Boolean).map(Number);
  if (numbers.length !== 3 || !numbers.every(Number.isFinite)) {
    throw new Error(`Write a place as three numbers in ${unit === "nm" ? "nm" : "voxels"}: x, y, z. Or paste a Neuroglancer link.`);
  }
  const scale = (axis) => (unit === "nm" ? 1 : atlas.voxel_size_nm[axis]);
  return Object.fromEntries([..."xyz"].map((axis, i) => [axis, numbers[i] * scale(axis)]));
}

function placeOfLink(link, atlas) {
  const mark = link.indexOf("#!");
  let state = mark < 0 ? "" : link.slice(mark + 2);
  try {
    state = decodeURIComponent(state);
  } catch {
    // Not encoded, as some programs write it.
  }
  if (!state.startsWith("{")) {
    throw new Error("That link has no state in it: it names one that lies elsewhere, which is not fetched. Open it and paste its JSON (the {} button), or type x, y, z.");
  }
  return placeOfState(parseJson(state), atlas);
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("That state is not JSON. Copy the link or the JSON whole, or type x, y, z.");
  }
}

// Lengths of a metre, in which Neuroglancer states its dimensions.
const NM = { m: 1e9, "": null };

function placeOfState(state, atlas) {
  const { position, dimensions, navigation } = state ?? {};
  const old = navigation?.pose?.position;
  let place = null;
  if (Array.isArray(position)) {
    const names = Object.keys(dimensions ?? { x: 0, y: 0, z: 0 });
    place = Object.fromEntries([..."xyz"].map((axis) => {
      const [scale, unit] = dimensions?.[axis] ?? [];
      const size = NM[unit] ? scale * NM[unit] : atlas.voxel_size_nm[axis];
      return [axis, position[names.indexOf(axis)] * size];
    }));
  } else if (Array.isArray(old?.voxelCoordinates)) {
    place = Object.fromEntries([..."xyz"].map((axis, i) => [axis, old.voxelCoordinates[i] * (old.voxelSize?.[i] ?? atlas.voxel_size_nm[axis])]));
  }
  if (!place || !Object.values(place).every(Number.isFinite)) {
    throw new Error("That state has no position along x, y and z. Move in Neuroglancer first, then copy the link again.");
  }
  return place;
}
