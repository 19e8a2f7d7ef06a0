// One menu for the whole page, opened beside a button. Arrow keys move, Escape and a click
// elsewhere close; the focus then goes back to where it was.

import { byId, make } from "./dom.js";

/**
 * `row` items lie side by side above the others, as small as an emoji.
 *
 * @typedef {{ label: string, name?: string, action: () => void, row?: boolean, danger?: boolean,
 *   pressed?: boolean }} MenuItem
 */

const GAP_PX = 6;

export class Menu {
  #menu = byId("menu");
  #owner = /** @type {HTMLElement | null} */ (null);

  constructor() {
    this.#menu.addEventListener("keydown", (event) => this.#handleKey(event));
    this.#menu.addEventListener("focusout", (event) => {
      const to = event.relatedTarget;
      if (!(to instanceof Node) || !this.#menu.contains(to)) this.close(false);
    });
    document.addEventListener("pointerdown", (event) => {
      const { target } = event;
      const inside = target instanceof Node && this.#menu.contains(target);
      if (!inside) this.close(false);
    });
  }

  /**
   * @param {HTMLElement} owner the control that opens it
   * @param {string} name
   * @param {MenuItem[]} items
   */
  open(owner, name, items) {
    this.close(false);
    if (items.length === 0) return;
    this.#owner = owner;
    owner.setAttribute("aria-expanded", "true");
    const row = make("div", "menu-row");
    row.setAttribute("role", "none");
    const rest = items.filter((item) => !item.row).map((item) => this.#button(item));
    row.append(...items.filter((item) => item.row).map((item) => this.#button(item)));
    this.#menu.setAttribute("aria-label", name);
    this.#menu.replaceChildren(...(row.childElementCount > 0 ? [row] : []), ...rest);
    this.#menu.hidden = false;
    this.#place(owner);
    this.#buttons()[0]?.focus();
  }

  /** @param {boolean} back whether the focus goes back */
  close(back) {
    if (this.#menu.hidden) return;
    const owner = this.#owner;
    this.#owner = null;
    this.#menu.hidden = true;
    owner?.setAttribute("aria-expanded", "false");
    if (back) owner?.focus();
  }

  /** @param {MenuItem} item */
  #button({ label, name, action, row = false, danger = false, pressed }) {
    const button = make("button", row ? "menu-emoji" : "menu-item", label);
    button.setAttribute("type", "button");
    button.setAttribute("role", pressed === undefined ? "menuitem" : "menuitemcheckbox");
    if (pressed !== undefined) button.setAttribute("aria-checked", String(pressed));
    if (name) button.setAttribute("aria-label", name);
    button.tabIndex = -1;
    button.toggleAttribute("data-danger", danger);
    button.addEventListener("click", () => {
      this.close(true);
      action();
    });
    return button;
  }

  #buttons() {
    return [...this.#menu.querySelectorAll("button")];
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    const buttons = this.#buttons();
    const at = buttons.findIndex((button) => button === document.activeElement);
    const last = buttons.length - 1;
    const to = {
      ArrowDown: at === last ? 0 : at + 1,
      ArrowRight: at === last ? 0 : at + 1,
      ArrowUp: at <= 0 ? last : at - 1,
      ArrowLeft: at <= 0 ? last : at - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to !== undefined) {
      buttons[to]?.focus();
      event.preventDefault();
    } else if (event.key === "Escape" || event.key === "Tab") {
      this.close(true);
      event.preventDefault();
    }
    event.stopPropagation();
  }

  /**
   * Below the owner, or above where there is no room; never outside of the window.
   *
   * @param {HTMLElement} owner
   */
  #place(owner) {
    const at = owner.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#menu;
    const below = at.bottom + GAP_PX + height <= window.innerHeight;
    const top = below ? at.bottom + GAP_PX : Math.max(GAP_PX, at.top - GAP_PX - height);
    const left = Math.min(at.right - width, window.innerWidth - width - GAP_PX);
    this.#menu.style.setProperty("top", `${top}px`);
    this.#menu.style.setProperty("left", `${Math.max(GAP_PX, left)}px`);
  }
}

/** @type {Menu | null} */
let menu = null;

/** The page's menu. */
export function theMenu() {
  menu ??= new Menu();
  return menu;
}
