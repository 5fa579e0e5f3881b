// A dialog that makes or changes a class set: names, colours and keys.

import { $, make } from "./dom.js";

// Told apart by most eyes, and on grey (Okabe and Ito's, with two more).
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#a3e635", "#a78bfa"];

function row(one, number) {
  return make("li", { className: "class-row" },
    make("input", { type: "color", value: one.colour ?? COLOURS[number % COLOURS.length], "aria-label": "Colour" }),
    make("input", { className: "class-name", value: one.name ?? "", placeholder: "name", required: true, maxLength: 100, "aria-label": "Name", readOnly: Boolean(one.labels) }),
    make("input", { className: "class-key", value: one.key ?? "", placeholder: "key", maxLength: 1, size: 2, "aria-label": "Key" }),
    make("button", { type: "button", className: "act", textContent: "✕", title: "Leave out", "aria-label": "Leave out", disabled: Boolean(one.labels),
      onclick: (event) => event.target.closest("li").remove() }));
}

/**
 * Lets a set be edited.
 * @param save is called with its name and classes, and refuses by an Error.
 * @returns the name of what was saved; null where the dialog was left.
 */
export function editClasses(set, classes, save) {
  const dialog = $("classes");
  const list = $("class-rows");
  Object.assign($("class-set"), { value: set, readOnly: Boolean(set) });
  $("class-trouble").textContent = "";
  list.replaceChildren(...(classes.length ? classes : [{}, {}]).map(row));
  $("class-add").onclick = () => {
    list.append(row({}, list.children.length));
    list.lastElementChild.querySelector(".class-name").focus();
  };
  dialog.showModal();
  return new Promise((done) => {
    $("class-cancel").onclick = () => dialog.close();
    dialog.onclose = () => done(null);
    $("class-form").onsubmit = async (event) => {
      event.preventDefault();
      const rows = [...list.children].map((item) => {
        const [colour, name, key] = item.querySelectorAll("input");
        return { name: name.value.trim(), colour: colour.value, key: key.value };
      });
      try {
        await save($("class-set").value.trim(), rows);
      } catch (error) {
        $("class-trouble").textContent = error.message;
        return;
      }
      dialog.onclose = null;
      dialog.close();
      done($("class-set").value.trim());
    };
  });
}
