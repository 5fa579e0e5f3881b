// Files that the page makes itself: tables of places.

import { make } from "./dom.js";

/** Saves a text as a file of that name. */
export function saveText(name, text, type = "text/csv") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// A field that a spreadsheet would take for a formula, or that has a separator in it, is quoted.
const field = (value) => {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/** Rows as CSV. */
export const table = (header, rows) => [header, ...rows].map((row) => row.map(field).join(",")).join("\n") + "\n";

/** What a search found, as CSV. */
export function hitsTable(hits) {
  return table(["id", "x_nm", "y_nm", "z_nm", "similarity", "segment_id"], hits.map((hit) =>
    [hit.location_id, hit.position_nm.x, hit.position_nm.y, hit.position_nm.z, hit.similarity, hit.segment_id]));
}
