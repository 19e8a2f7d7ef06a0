// Where one writes: a field that grows, what it answers or edits, quick phrases.

/** @import { ChatMessage } from "/sdk/index.js" */

import { PHRASES, phraseText } from "/sdk/index.js";
import { byId, say, showFault } from "./dom.js";
import { authorOf, contentOf, snippet } from "./chat-words.js";
import { Menu } from "./menu.js";

/** The tallest that the field grows, in pixels. */
const HEIGHT_MAX_PX = 160;

/**
 * @typedef {{ send: (text: string, replyTo: number | undefined) => void,
 *   edit: (message: ChatMessage, text: string) => void, phrase: (id: string) => void,
 *   type: () => void, lastOwn: () => ChatMessage | undefined }} ComposerActions
 */

export class Composer {
  #form = byId("composer", HTMLFormElement);
  #field = byId("message", HTMLTextAreaElement);
  #phrases = byId("phrases", HTMLButtonElement);
  #send = byId("send", HTMLButtonElement);
  #context = byId("context");
  #actions;
  #languages;
  #replyTo = /** @type {ChatMessage | null} */ (null);
  #editing = /** @type {ChatMessage | null} */ (null);

  /**
   * @param {ComposerActions} actions
   * @param {Menu} menu
   * @param {readonly string[]} languages
   */
  constructor(actions, menu, languages) {
    this.#actions = actions;
    this.#languages = languages;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("keydown", (event) => this.#handleKey(event));
    this.#field.addEventListener("input", () => {
      this.#grow();
      this.fault("");
      if (this.#field.value.trim()) actions.type();
    });
    byId("context-cancel").addEventListener("click", () => this.#leaveContext());
    this.#phrases.addEventListener("click", () => {
      const items = Object.keys(PHRASES).map((id) => {
        return { label: phraseText(id, languages), action: () => actions.phrase(id) };
      });
      menu.open(this.#phrases, "Quick phrases", items);
    });
  }

  /** @param {ChatMessage} message */
  reply(message) {
    this.#editing = null;
    this.#replyTo = message;
    const words = snippet(contentOf(message, this.#languages));
    this.#enterContext(`Answer to ${message.self ? "yourself" : authorOf(message)}: ${words}`);
  }

  /** @param {ChatMessage} message */
  edit(message) {
    this.#replyTo = null;
    this.#editing = message;
    this.#field.value = message.text ?? "";
    this.#enterContext("Edit your message");
  }

  /** @param {boolean} may whether this player may write */
  enable(may) {
    this.#form.toggleAttribute("data-off", !may);
    this.#field.disabled = this.#send.disabled = this.#phrases.disabled = !may;
  }

  /** @param {string} text "" for none */
  fault(text) {
    showFault(this.#field, byId("composer-fault"), text);
  }

  clear() {
    this.#field.value = "";
    this.#leaveContext();
    this.fault("");
  }

  #submit() {
    const text = this.#field.value.trim();
    if (!text) return;
    const [editing, replyTo] = [this.#editing, this.#replyTo];
    this.clear();
    if (!editing) this.#actions.send(text, replyTo?.seq ?? undefined);
    else if (text !== editing.text) this.#actions.edit(editing, text);
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    // Enter also ends the input of a Japanese or Chinese word, which is not yet a message.
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && !this.#context.hidden) {
      this.clear();
    } else if (event.key === "ArrowUp" && this.#field.value === "") {
      const own = this.#actions.lastOwn();
      if (!own) return;
      event.preventDefault();
      this.edit(own);
    }
  }

  /** @param {string} words */
  #enterContext(words) {
    say(byId("context-text"), words);
    this.#context.hidden = false;
    this.#grow();
    this.#field.focus();
  }

  #leaveContext() {
    if (this.#editing) this.#field.value = "";
    this.#editing = this.#replyTo = null;
    this.#context.hidden = true;
    this.#grow();
  }

  #grow() {
    const { style } = this.#field;
    style.setProperty("height", "auto");
    const border = this.#field.offsetHeight - this.#field.clientHeight;
    const wanted = this.#field.scrollHeight + border;
    style.setProperty("height", `${Math.min(HEIGHT_MAX_PX, wanted)}px`);
  }
}
