// The list of messages: one element each, kept while it is there, so that focus and scrolling stay
// put. What people wrote is only ever set as text.

/** @import { ChatMessage } from "/sdk/index.js" */

import { byId, make, moreButton, say } from "./dom.js";
import { authorOf, contentOf, deliveryWords, snippet, timeWords } from "./chat-words.js";
import { hueOf, initials } from "./words.js";

/** Messages of one author within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

/**
 * @typedef {{ menu: (message: ChatMessage, owner: HTMLElement) => void,
 *   react: (message: ChatMessage, reaction: string) => void,
 *   retry: (key: string) => void, discard: (key: string) => void,
 *   show: (seq: number) => void }} ListActions
 */

export class ChatList {
  #list = byId("messages");
  /** @type {Map<string, { item: HTMLElement, said: string }>} */
  #items = new Map();
  #divider = divider();
  #actions;
  #languages;
  /** @type {ChatMessage[]} */
  #messages = [];
  #active = "";

  /**
   * @param {ListActions} actions
   * @param {readonly string[]} languages
   */
  constructor(actions, languages) {
    this.#actions = actions;
    this.#languages = languages;
    this.#list.addEventListener("keydown", (event) => this.#handleKey(event));
    this.#list.addEventListener("focusin", ({ target }) => {
      const item = target instanceof Element ? target.closest("li") : null;
      if (item?.dataset.id) this.#activate(item.dataset.id);
    });
  }

  /**
   * @param {ChatMessage[]} messages
   * @param {number | null} unreadAfter the divider stands before the first one above this number
   */
  show(messages, unreadAfter) {
    this.#messages = messages;
    const ids = messages.map(idOf);
    const present = new Set(ids);
    for (const [id, { item }] of this.#items) {
      if (present.has(id)) continue;
      item.remove();
      this.#items.delete(id);
    }
    const firstUnread = messages.findIndex(
      ({ seq, self }) => unreadAfter !== null && seq !== null && seq > unreadAfter && !self,
    );
    let at = /** @type {ChildNode | null} */ (this.#list.firstChild);
    messages.forEach((message, index) => {
      const first = index === firstUnread;
      if (first) at = this.#put(this.#divider, at);
      const together = !first && standsWith(messages[index - 1], message);
      at = this.#put(this.#itemOf(ids[index] ?? "", message, together), at);
    });
    if (firstUnread < 0) this.#divider.remove();
    // Tab leads to the last message, unless somebody is at another one.
    const stays = present.has(this.#active) && this.#list.contains(document.activeElement);
    this.#activate(stays ? this.#active : (ids.at(-1) ?? ""));
  }

  clear() {
    this.#list.replaceChildren();
    this.#items.clear();
    this.#messages = [];
  }

  /** The last own text, for editing it. */
  lastOwn() {
    return this.#messages.findLast(({ self, text, seq }) => self && text !== null && seq !== null);
  }

  /**
   * Puts the focus on a message that is here.
   *
   * @param {number} seq
   */
  focus(seq) {
    this.#items.get(`${seq}`)?.item.focus();
  }

  /**
   * @param {HTMLElement} item
   * @param {ChildNode | null} at where it belongs
   */
  #put(item, at) {
    if (item === at) return item.nextSibling;
    this.#list.insertBefore(item, at);
    return at;
  }

  /**
   * @param {string} id
   * @param {ChatMessage} message
   * @param {boolean} together
   */
  #itemOf(id, message, together) {
    const quoted = message.replyTo === null ? undefined : this.#find(message.replyTo);
    const quote = quoted ? contentOf(quoted, this.#languages) : "";
    const said = JSON.stringify([message, together, quote]);
    const known = this.#items.get(id);
    if (known?.said === said) return known.item;
    const item = known?.item ?? make("li");
    const focused = item.contains(document.activeElement) && document.activeElement !== item;
    this.#fill(item, message, together);
    item.dataset.id = id;
    if (focused) item.focus();
    this.#items.set(id, { item, said });
    return item;
  }

  /** @param {number} seq */
  #find(seq) {
    return this.#messages.find((message) => message.seq === seq);
  }

  /**
   * @param {HTMLElement} item
   * @param {ChatMessage} message
   * @param {boolean} together
   */
  #fill(item, message, together) {
    item.className = message.system ? "message system" : "message";
    item.toggleAttribute("data-self", message.self);
    item.toggleAttribute("data-together", together);
    item.toggleAttribute("data-deleted", message.deleted !== null);
    item.toggleAttribute("data-mentions-me", message.mentionsMe && !message.deleted);
    item.dataset.state = message.state;
    item.tabIndex = -1;
    if (message.seq !== null) item.dataset.seq = String(message.seq);
    const bubble = make("div", "bubble");
    if (message.replyTo !== null) bubble.append(this.#quote(message.replyTo));
    const text = make("p", "text", contentOf(message, this.#languages));
    // A text in Arabic runs from right to left whatever stands around it.
    text.dir = "auto";
    bubble.append(text);
    for (const { kind } of message.attachments) bubble.append(make("p", "attachment", kind));
    const reactions = this.#reactions(message);
    const body = make("div", "body");
    body.append(this.#head(message, together), bubble, ...reactions, ...this.#delivery(message));
    item.replaceChildren(...this.#avatar(message), body);
    if (message.seq !== null && message.state === "sent" && !message.system) {
      item.append(this.#more(message));
    }
  }

  /** @param {ChatMessage} message */
  #avatar(message) {
    if (message.system || message.self) return [];
    const avatar = make("span", "avatar", initials(authorOf(message)));
    avatar.setAttribute("aria-hidden", "true");
    avatar.style.setProperty("--hue", String(hueOf(message.author ?? "")));
    return [avatar];
  }

  /**
   * @param {ChatMessage} message
   * @param {boolean} together
   */
  #head(message, together) {
    const head = make("p", "head");
    const name = make("strong", "", message.self ? "You" : authorOf(message));
    const time = make("time", "", timeWords(message.atMs, this.#languages));
    time.setAttribute("datetime", new Date(message.atMs).toISOString());
    head.append(name, " ", time);
    if (message.editedAtMs !== null && !message.deleted) head.append(make("em", "", " edited"));
    // Heard with each message, seen with the first of a row.
    if (together || message.system) head.classList.add("visually-hidden");
    return head;
  }

  /** @param {number} seq */
  #quote(seq) {
    const quoted = this.#find(seq);
    const words = quoted
      ? `${authorOf(quoted)}: ${snippet(contentOf(quoted, this.#languages))}`
      : "An earlier message";
    const quote = button("quote", words);
    quote.setAttribute("aria-label", `Answers ${words}`);
    quote.addEventListener("click", () => this.#actions.show(seq));
    return quote;
  }

  /** @param {ChatMessage} message */
  #reactions(message) {
    if (message.reactions.length === 0) return [];
    const row = make("div", "reactions");
    for (const { reaction, count, mine } of message.reactions) {
      const one = button("reaction", `${reaction} ${count}`);
      one.setAttribute("aria-pressed", String(mine));
      one.addEventListener("click", () => this.#actions.react(message, reaction));
      row.append(one);
    }
    return [row];
  }

  /** @param {ChatMessage} message */
  #delivery(message) {
    const words = deliveryWords(message, this.#languages);
    const { key } = message;
    if (!words || key === null) return [];
    const row = make("p", "delivery", words);
    if (message.state !== "failed") return [row];
    const again = button("link", "Try again");
    const drop = button("link", "Discard");
    again.addEventListener("click", () => this.#actions.retry(key));
    drop.addEventListener("click", () => this.#actions.discard(key));
    row.append(" ", again, " ", drop);
    return [row];
  }

  /** @param {ChatMessage} message */
  #more(message) {
    const more = moreButton("more");
    more.tabIndex = -1;
    const whose = message.self ? "your message" : `the message of ${authorOf(message)}`;
    more.setAttribute("aria-label", `Actions for ${whose}`);
    more.addEventListener("click", () => this.#actions.menu(message, more));
    return more;
  }

  // ---- by keyboard: one stop of Tab for the whole list, arrows inside ---------------------------

  /** @param {string} id */
  #activate(id) {
    this.#items.get(this.#active)?.item.setAttribute("tabindex", "-1");
    this.#active = id;
    this.#items.get(id)?.item.setAttribute("tabindex", "0");
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    const { key, target } = event;
    const onMessage = target instanceof HTMLElement && target.matches("li");
    const last = this.#messages.length - 1;
    const at = this.#messages.findIndex((message) => idOf(message) === this.#active);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: last }[key];
    if (to !== undefined && to >= 0 && to <= last) {
      this.#items.get(idOf(/** @type {ChatMessage} */ (this.#messages[to])))?.item.focus();
    } else if ((key === "Enter" || key === " ") && onMessage && this.#messages[at]) {
      this.#actions.menu(this.#messages[at], target);
    } else {
      return;
    }
    event.preventDefault();
  }
}

/** @param {ChatMessage} message */
function idOf({ seq, key }) {
  return seq === null || key !== null ? `key ${key}` : `${seq}`;
}

/**
 * @param {ChatMessage | undefined} before
 * @param {ChatMessage} message
 */
function standsWith(before, message) {
  if (!before || before.system || message.system || before.author !== message.author) return false;
  return message.atMs - before.atMs < TOGETHER_MS;
}

function divider() {
  const item = make("li", "divider");
  item.append(make("span", "", "New"));
  return item;
}

/**
 * Out of the order of Tab: the list has one stop, and Enter on a message opens its menu.
 *
 * @param {string} className
 * @param {string} text
 */
function button(className, text) {
  const made = make("button", className);
  say(made, text);
  made.setAttribute("type", "button");
  made.tabIndex = -1;
  return made;
}
