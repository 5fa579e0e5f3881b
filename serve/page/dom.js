// Elements, made and found. Text goes in as text only, so that nothing in it is ever executed.

export const $ = (id) => document.getElementById(id);

/**
 * An element.
 * @param attributes properties by name; those with a "-" in their name are attributes.
 * @param children elements and texts.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing; every attribute is one. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The options of a select, of which one is chosen. */
export function setOptions(select, options, chosen) {
  select.replaceChildren(...options.map(([value, textContent]) => make("option", { value, textContent })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** Presses one of a group of buttons that have data-value. */
export function press(group, value) {
  for (const button of group.querySelectorAll("button[data-value]")) {
    button.setAttribute("aria-pressed", String(button.dataset.value === value));
  }
}

/** Calls `chosen` with the value of the button of a group that is pressed. */
export function onPress(group, chosen) {
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-value]");
    if (button) chosen(button.dataset.value);
  });
}
