// Menus that close when something else is looked at, and texts that go to the clipboard.

import { $ } from "./dom.js";

/** Closes menus when something of them is chosen, at a click elsewhere, and at Escape. */
export function tidyMenus() {
  const menus = () => document.querySelectorAll("details.menu[open]");
  addEventListener("pointerdown", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  addEventListener("click", (event) => {
    if (event.target.closest(".sheet button, .sheet a")) event.target.closest("details.menu").open = false;
  });
  // A click in the frame of the volume is not seen here, but takes the focus away.
  document.addEventListener("change", (event) => {
    if (event.target.closest(".sheet input[type=file]")) event.target.closest("details.menu").open = false;
  });
  addEventListener("blur", () => { for (const menu of menus()) menu.open = false; });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}

/** Copies a text, or shows it to be copied where the browser forbids that (plain http on a network). */
export async function copyText(text, say) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    $("copy-text").value = text;
    $("copy").showModal();
    $("copy-text").select();
  }
}
