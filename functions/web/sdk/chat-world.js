// The world channel of a player. That of a large region has halls, each a channel of its own, and
// which of them is his depends on where his room is.

/** @import { Chat } from "./chat.js" */
/** @import { ChatChannel } from "./chat-channel.js" */
/** @import { Runtime } from "./runtime.js" */

/** What is on its way in a hall that is left has so long to be sent. */
const LEAVE_MS = 10_000;

export class WorldFollower {
  #chat;
  #runtime;
  #show;
  #channel = /** @type {ChatChannel | null} */ (null);
  /** What keeps a hall that was left from being closed. @type {Map<string, () => void>} */
  #leaving = new Map();

  /** @param {Chat} chat @param {Runtime} runtime @param {(channel: ChatChannel) => void} show */
  constructor(chat, runtime, show) {
    this.#chat = chat;
    this.#runtime = runtime;
    this.#show = show;
  }

  /** @param {string | null} name where the player is now; none leaves it as it is */
  follow(name) {
    if (name === null || name === this.#channel?.name) return;
    const channel = this.#chat.channel(name);
    this.#leave();
    this.#channel = channel;
    this.#leaving.get(name)?.();
    this.#leaving.delete(name);
    this.#show(channel);
  }

  #leave() {
    if (!this.#channel) return;
    const { name } = this.#channel;
    this.#channel.silence();
    const close = () => {
      this.#leaving.delete(name);
      this.#chat.closeChannel(name);
    };
    this.#leaving.set(name, this.#runtime.later(LEAVE_MS, close));
  }

  close() {
    for (const [name, cancel] of this.#leaving) {
      cancel();
      this.#chat.closeChannel(name);
    }
    this.#leaving.clear();
    if (this.#channel) this.#chat.closeChannel(this.#channel.name);
    this.#channel = null;
  }
}
