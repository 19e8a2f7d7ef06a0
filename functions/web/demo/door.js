// The door: the form, what happens while joining, and why it did not work.

/** @import { Invitation, QueueRules, StateDetail, VoiceError } from "/sdk/index.js" */
/** @import { Search } from "./match-pane.js" */

import { announce } from "./announcer.js";
import { byId, make, say, showFault } from "./dom.js";
import { invitationWords, partyMax, playersIn, rulesWords } from "./match-words.js";
import { isOpenToAnybody, playerId } from "./token.js";
import { cleanRoom, explain, progressWords, roomOf } from "./words.js";

const NAME_KEY = "lifeverse.name";
const INVITATIONS_EVERY_MS = 3000;

/**
 * @typedef {{ name: string, room: string, token: string, listenOnly: boolean,
 *   moderator: boolean }} Wish
 */

/**
 * @typedef {object} DoorHandlers
 * @property {(wish: Wish) => void} join
 * @property {() => void} cancel
 * @property {() => boolean} back to the match after a refusal, if there is one
 * @property {(search: Search) => void} find
 * @property {(person: { name: string, token: string }, party: Invitation, accept: boolean) => void
 *   } answer an invitation
 * @property {(token: string) => Promise<Invitation[]>} invitations
 * @property {(queue: string, token: string) => Promise<QueueRules | null>} rules
 */

export class Door {
  #section = byId("door");
  #form = byId("join-form", HTMLFormElement);
  #progress = byId("progress");
  #refusal = byId("refusal");
  #name = byId("name", HTMLInputElement);
  #room = byId("room-name", HTMLInputElement);
  #token = byId("token", HTMLTextAreaElement);
  #queue = byId("queue", HTMLSelectElement);
  #party = byId("party-ids", HTMLInputElement);
  #mode = /** @type {"room" | "match"} */ ("room");
  #invitedRoom = "";
  #rules = /** @type {QueueRules | null} */ (null);
  #timer = 0;
  #listenOnly = false;
  #join;
  /** Goes in again after a refusal. */
  #again;
  #on;

  /** @param {DoorHandlers} on */
  constructor(on) {
    this.#on = on;
    this.#name.value = localStorage.getItem(NAME_KEY) ?? "";
    say(byId("own-id"), playerId());
    isOpenToAnybody().then((isOpen) => (byId("open-hint").hidden = !isOpen));
    this.#takeAddress();
    window.addEventListener("hashchange", () => this.#takeAddress());
    const join = (/** @type {boolean} */ listenOnly) => {
      const wish = this.#read(listenOnly);
      if (wish) on.join(wish);
    };
    this.#again = this.#join = join;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#mode === "room") join(false);
      else this.#find();
    });
    byId("listen").addEventListener("click", () => join(true));
    byId("listen-instead").addEventListener("click", () => this.#again(true));
    byId("again").addEventListener("click", () => this.#again(this.#listenOnly));
    byId("cancel").addEventListener("click", on.cancel);
    byId("back").addEventListener("click", () => {
      const isMatch = this.#again !== this.#join;
      if (!isMatch || !on.back()) this.#show(this.#form, this.#room);
    });
    byId("mode-room").addEventListener("click", () => this.#setMode("room"));
    byId("mode-match").addEventListener("click", () => this.#setMode("match"));
    byId("copy-id").addEventListener("click", () => copyId());
    this.#queue.addEventListener("change", () => this.#showRules());
    document.addEventListener("visibilitychange", () => this.#lookForInvitations());
  }

  #takeAddress() {
    const address = new URL(location.href);
    this.#invitedRoom = roomOf(address);
    this.#room.value = this.#invitedRoom || this.#room.value || "lobby";
    this.#setMode(this.#mode);
  }

  /** @param {"room" | "match"} mode */
  #setMode(mode) {
    this.#mode = mode;
    const isMatch = mode === "match";
    byId("mode-room").setAttribute("aria-pressed", String(!isMatch));
    byId("mode-match").setAttribute("aria-pressed", String(isMatch));
    for (const id of ["room-field", "listen", "moderator-field"]) byId(id).hidden = isMatch;
    for (const id of ["queue-field", "party-field"]) byId(id).hidden = !isMatch;
    this.#showInvitations([]);
    say(byId("door-lead"), this.#lead());
    say(byId("go"), isMatch ? "Find a match" : "Join");
    if (!isMatch) return;
    this.#showRules();
    this.#lookForInvitations();
  }

  #lead() {
    if (this.#mode === "room") {
      const room = this.#invitedRoom;
      if (room) return `You are invited to #${room}. Say who you are and come in.`;
      return "Pick a name and a room. Everyone who opens the same room hears you.";
    }
    return "Bring your friends or come alone. Your team hears you as soon as there is a match.";
  }

  async #showRules() {
    const queue = this.#queue.value;
    const rules = await this.#on.rules(queue, this.#token.value.trim());
    if (queue !== this.#queue.value) return;
    this.#rules = rules;
    say(byId("queue-hint"), rules ? rulesWords(rules) : "");
    byId("party-field").hidden = this.#mode === "room" || (rules !== null && partyMax(rules) < 2);
  }

  /** Again and again while somebody may be looking. */
  async #lookForInvitations() {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#lookForInvitations(), INVITATIONS_EVERY_MS);
    const isShown = () => this.#mode === "match" && !this.#form.hidden && !this.#section.hidden;
    if (!isShown() || document.visibilityState === "hidden") return;
    const found = await this.#on.invitations(this.#token.value.trim());
    if (isShown()) this.#showInvitations(found);
  }

  /** @param {Invitation[]} found */
  #showInvitations(found) {
    const list = byId("invitations");
    const names = found.map(({ ticket }) => ticket).join();
    // What is there stays, with the focus that may be in it.
    if (!list.hidden && list.dataset.tickets === names) return;
    list.dataset.tickets = names;
    list.hidden = found.length === 0;
    list.replaceChildren(...found.map((one) => this.#invitationItem(one)));
    for (const one of found) announce(invitationWords(one));
  }

  /** @param {Invitation} invitation */
  #invitationItem(invitation) {
    const item = make("li");
    item.append(make("p", "", invitationWords(invitation)));
    for (const [label, accept] of /** @type {const} */ ([["Join", true], ["Decline", false]])) {
      const button = make("button", `button small ${accept ? "primary" : "quiet"}`, label);
      button.setAttribute("type", "button");
      button.addEventListener("click", () => {
        const name = this.#readName();
        const token = this.#token.value.trim();
        if (name) this.#on.answer({ name, token }, invitation, accept);
      });
      item.append(button);
    }
    return item;
  }

  #find() {
    const name = this.#readName();
    if (!name) return;
    const token = this.#token.value.trim();
    const shown = !byId("party-field").hidden;
    const party = shown ? playersIn(this.#party.value, playerId()) : [];
    const most = this.#rules ? partyMax(this.#rules) - 1 : Infinity;
    const fault = party.length > most ? `At most ${most} besides you.` : "";
    showFault(this.#party, byId("party-fault"), fault);
    if (fault) return this.#party.focus();
    this.#on.find({ name, token, queue: this.#queue.value, party });
  }

  /** @returns {string} "" when there is none, with the fault told */
  #readName() {
    const name = this.#name.value.trim();
    const fault = name ? "" : "Enter the name that others should see.";
    showFault(this.#name, byId("name-fault"), fault);
    if (!fault) localStorage.setItem(NAME_KEY, name);
    else this.#show(this.#form, this.#name);
    return name;
  }

  /**
   * The wish, when the form is complete; else the first fault gets the focus.
   *
   * @param {boolean} listenOnly
   * @returns {Wish | null}
   */
  #read(listenOnly) {
    const name = this.#readName();
    const room = cleanRoom(this.#room.value);
    const roomFault = room ? "" : "Enter a room, for example lobby.";
    showFault(this.#room, byId("room-fault"), roomFault);
    if (roomFault && name) this.#show(this.#form, this.#room);
    if (!name || roomFault) return null;
    this.#room.value = room;
    this.#listenOnly = listenOnly;
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
    this.#show(this.#progress, byId("cancel"));
  }

  /**
   * @param {VoiceError} error
   * @param {(listenOnly: boolean) => void} [again] when it is not what the form says
   */
  showRefusal(error, again = this.#join) {
    this.#again = again;
    say(byId("back"), again === this.#join ? "Change name or room" : "Back to the match");
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
      return this.#show(this.#form, this.#token);
    }
    this.#show(this.#refusal, byId("refusal-title"));
  }

  /** @param {string} [message] what has ended */
  showForm(message = "") {
    const place = byId("match-ended");
    place.hidden = message === "";
    say(place, message);
    this.#setMode(this.#mode);
    this.#show(this.#form, this.#name);
    announce(message);
  }

  hide() {
    this.#section.hidden = true;
  }

  /** One of the card's panels, in place of the others. @param {HTMLElement} panel */
  show(panel) {
    this.#section.hidden = false;
    const panels = panel.parentElement?.children ?? [];
    for (const one of panels) one.toggleAttribute("hidden", one !== panel);
  }

  /**
   * @param {HTMLElement} panel
   * @param {HTMLElement} focus
   */
  #show(panel, focus) {
    this.show(panel);
    focus.focus();
  }
}

async function copyId() {
  await navigator.clipboard.writeText(playerId()).catch(() => {});
  announce("Your id is copied.");
}
