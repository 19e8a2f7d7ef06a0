// The sound settings dialog: microphone, output, keyboard shortcuts.

/** @import { VoiceRoom } from "/sdk/index.js" */

import { canChooseOutput, microphones, outputs, VoiceError } from "/sdk/index.js";
import { announce } from "./announcer.js";
import { byId, showFault } from "./dom.js";
import { explain } from "./words.js";

const SHORTCUTS_KEY = "lifeverse.shortcuts";
const LISTEN_ONLY = "none";

export class Settings {
  #dialog = byId("settings", HTMLDialogElement);
  #microphone = byId("microphone", HTMLSelectElement);
  #output = byId("output", HTMLSelectElement);
  #shortcuts = byId("shortcuts", HTMLInputElement);
  #room = /** @type {VoiceRoom | null} */ (null);
  #onChange;

  /** @param {() => void} onChange called when the microphone was changed */
  constructor(onChange) {
    this.#onChange = onChange;
    this.#shortcuts.checked = localStorage.getItem(SHORTCUTS_KEY) !== "off";
    this.#shortcuts.addEventListener("change", () => {
      localStorage.setItem(SHORTCUTS_KEY, this.#shortcuts.checked ? "on" : "off");
    });
    byId("output-field").hidden = !canChooseOutput();
    this.#microphone.addEventListener("change", () => this.#takeMicrophone());
    this.#output.addEventListener("change", () => this.#takeOutput());
    navigator.mediaDevices?.addEventListener("devicechange", () => {
      if (this.#dialog.open) this.#fill();
    });
  }

  /** Whether M and D are shortcuts. */
  get shortcuts() {
    return this.#shortcuts.checked && !this.#dialog.open;
  }

  /** @param {VoiceRoom} room */
  async open(room) {
    this.#room = room;
    showFault(this.#microphone, byId("microphone-fault"), "");
    showFault(this.#output, byId("output-fault"), "");
    await this.#fill();
    this.#dialog.showModal();
  }

  close() {
    this.#dialog.close();
  }

  async #fill() {
    const room = this.#room;
    if (!room) return;
    const [inputs, sinks] = await Promise.all([microphones(), outputs()]);
    const silent = { id: LISTEN_ONLY, name: "None, only listen" };
    const named = inputs.map(({ id, name }, n) => ({ id, name: name || `Microphone ${n + 1}` }));
    const usual = named.length > 0 ? [] : [{ id: "", name: "The system's microphone" }];
    const chosen = room.hasMicrophone ? room.microphone : LISTEN_ONLY;
    options(this.#microphone, [...usual, ...named, silent], chosen);
    const loud = sinks.map(({ id, name }, n) => ({ id, name: name || `Output ${n + 1}` }));
    const hasDefault = loud.some(({ id }) => id === "default");
    const fallback = hasDefault ? [] : [{ id: "", name: "The system's choice" }];
    options(this.#output, [...fallback, ...loud], this.#output.value);
  }

  async #takeMicrophone() {
    const fault = byId("microphone-fault");
    const picked = this.#microphone.value;
    showFault(this.#microphone, fault, "");
    try {
      await this.#room?.setMicrophone(picked === LISTEN_ONLY ? null : picked);
      announce(picked === LISTEN_ONLY ? "You only listen now." : "Microphone changed.");
    } catch (error) {
      const words = error instanceof VoiceError ? explain(error) : null;
      showFault(this.#microphone, fault, words ? `${words.title}. ${words.detail}` : "It failed.");
      await this.#fill();
    }
    this.#onChange();
  }

  async #takeOutput() {
    const fault = byId("output-fault");
    showFault(this.#output, fault, "");
    try {
      await this.#room?.setOutput(this.#output.value);
      announce("Output changed.");
    } catch {
      showFault(this.#output, fault, "This output cannot be used. The sound stays where it was.");
    }
  }
}

/**
 * @param {HTMLSelectElement} select
 * @param {{ id: string, name: string }[]} list
 * @param {string} chosen
 */
function options(select, list, chosen) {
  select.replaceChildren(...list.map(({ id, name }) => new Option(name, id)));
  select.value = list.some(({ id }) => id === chosen) ? chosen : (list[0]?.id ?? "");
}
