// Small helpers over the document.

/**
 * The element with this id; a missing one is a fault of the page.
 *
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @param {{ new (): T }} [kind]
 * @returns {T}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  const type = kind ?? HTMLElement;
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return /** @type {T} */ (/** @type {unknown} */ (element));
}

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/**
 * An icon of stroked paths on a 24 grid, hidden from screen readers.
 *
 * @param {string} path
 */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

const MORE = "M6 12h.01M12 12h.01M18 12h.01";

/**
 * A button that opens a menu.
 *
 * @param {string} className
 */
export function moreButton(className) {
  const more = make("button", className);
  more.append(icon(MORE));
  more.setAttribute("type", "button");
  more.setAttribute("aria-haspopup", "menu");
  more.setAttribute("aria-expanded", "false");
  return more;
}

/**
 * Sets the text only when it differs, so that live regions speak once.
 *
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A fault beside its field, or none.
 *
 * @param {HTMLElement} field
 * @param {HTMLElement} place
 * @param {string} text "" for none
 */
export function showFault(field, place, text) {
  place.hidden = text === "";
  say(place, text);
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}
