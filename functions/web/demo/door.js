// The door: the form, what happens while joining, and why it did not work.

/** @import { StateDetail, VoiceError } from "/sdk/index.js" */

import { byId, say, showFault } from "./dom.js";
import { cleanRoom, explain, progressWords, roomOf } from "./words.js";

const NAME_KEY = "lifeverse.name";

/**
 * @typedef {{ name: string, room: string, token: string, listenOnly: boolean,
 *   moderator: boolean }} Wish
 */

export class Door {
  #section = byId("door");
  #form = byId("join-form", HTMLFormElement);
  #progress = byId("progress");
  #refusal = byId("refusal");
  #name = byId("name", HTMLInputElement);
  #room = byId("room-name", HTMLInputElement);
  #token = byId("token", HTMLTextAreaElement);
  #listenOnly = false;

  /**
   * @param {(wish: Wish) => void} onJoin
   * @param {() => void} onCancel
   */
  constructor(onJoin, onCancel) {
    this.#name.value = localStorage.getItem(NAME_KEY) ?? "";
    this.#takeRoomFromAddress();
    window.addEventListener("hashchange", () => this.#takeRoomFromAddress());
    const join = (/** @type {boolean} */ listenOnly) => {
      const wish = this.#read(listenOnly);
      if (wish) onJoin(wish);
    };
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      join(false);
    });
    byId("listen").addEventListener("click", () => join(true));
    byId("listen-instead").addEventListener("click", () => join(true));
    byId("again").addEventListener("click", () => join(this.#listenOnly));
    byId("cancel").addEventListener("click", onCancel);
    byId("back").addEventListener("click", () => {
      this.#show(this.#form);
      this.#room.focus();
    });
  }

  #takeRoomFromAddress() {
    const invited = roomOf(new URL(location.href));
    this.#room.value = invited || this.#room.value || "lobby";
    if (!invited) return;
    say(byId("door-lead"), `You are invited to #${invited}. Say who you are and come in.`);
  }

  /**
   * The wish, when the form is complete; else the first fault gets the focus.
   *
   * @param {boolean} listenOnly
   * @returns {Wish | null}
   */
  #read(listenOnly) {
    const name = this.#name.value.trim();
    const room = cleanRoom(this.#room.value);
    const nameFault = name ? "" : "Enter the name that others should see.";
    const roomFault = room ? "" : "Enter a room, for example lobby.";
    showFault(this.#name, byId("name-fault"), nameFault);
    showFault(this.#room, byId("room-fault"), roomFault);
    if (nameFault || roomFault) {
      this.#show(this.#form);
      (nameFault ? this.#name : this.#room).focus();
      return null;
    }
    this.#room.value = room;
    this.#listenOnly = listenOnly;
    localStorage.setItem(NAME_KEY, name);
    const token = this.#token.value.trim();
    const moderator = byId("moderator", HTMLInputElement).checked;
    return { name, room, token, listenOnly, moderator };
  }

  /** @param {StateDetail} detail */
  showProgress(detail) {
    const words = progressWords(detail);
    say(byId("progress-title"), words.title);
    say(byId("progress-detail"), words.detail);
    if (!this.#progress.hidden) return;
    this.#show(this.#progress);
    byId("cancel").focus();
  }

  /** @param {VoiceError} error */
  showRefusal(error) {
    const words = explain(error);
    say(byId("refusal-title"), words.title);
    say(byId("refusal-detail"), words.detail);
    say(byId("refusal-advice"), words.advice);
    byId("listen-instead").hidden = !error.problem.startsWith("microphone-");
    if (error.problem === "token-needed" || (error.status === 401 && this.#token.value)) {
      byId("token-field").hidden = false;
      byId("moderator-field").hidden = true;
    }
    if (error.problem === "token-needed") {
      this.#show(this.#form);
      showTokenNeeded(this.#token);
      return;
    }
    this.#show(this.#refusal);
    byId("refusal-title").focus();
  }

  showForm() {
    this.#show(this.#form);
    this.#name.focus();
  }

  hide() {
    this.#section.hidden = true;
  }

  /** @param {HTMLElement} panel */
  #show(panel) {
    this.#section.hidden = false;
    for (const one of [this.#form, this.#progress, this.#refusal]) one.hidden = one !== panel;
  }
}

/** @param {HTMLTextAreaElement} token */
function showTokenNeeded(token) {
  token.focus();
}
