// Who types in a channel, as far as was heard, and when to tell that this player does.

/** @import { Runtime } from "./runtime.js" */

/** Least time between two notes that this player types. */
const TYPING_EVERY_MS = 3000;
/** Somebody types for so long after he last said so. */
const TYPING_FOR_MS = 6000;
/** Players who are shown to type. */
const TYPING_MAX = 20;

export class Typing {
  #runtime;
  #onChange;
  /** What ends it, by player. @type {Map<string, () => void>} */
  #ends = new Map();
  #toldMs = -Infinity;

  /** @param {Runtime} runtime @param {() => void} onChange */
  constructor(runtime, onChange) {
    this.#runtime = runtime;
    this.#onChange = onChange;
  }

  /** Others who type. */
  get players() {
    return [...this.#ends.keys()];
  }

  /** Whether the others are to be told now that this player types. */
  isToTell() {
    const now = this.#runtime.now();
    if (now - this.#toldMs < TYPING_EVERY_MS) return false;
    this.#toldMs = now;
    return true;
  }

  /** @param {string} player who said that he types */
  begin(player) {
    const end = this.#ends.get(player);
    if (!end && this.#ends.size >= TYPING_MAX) return;
    end?.();
    this.#ends.set(player, this.#runtime.later(TYPING_FOR_MS, () => this.end(player)));
    if (!end) this.#onChange();
  }

  /** @param {string} player who wrote, or has not said it for a while */
  end(player) {
    const end = this.#ends.get(player);
    if (!end) return;
    end();
    this.#ends.delete(player);
    this.#onChange();
  }

  close() {
    for (const end of this.#ends.values()) end();
    this.#ends.clear();
  }
}
