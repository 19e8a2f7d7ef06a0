// What one can do about a person in the room, as a menu on his tile: everybody can block him, and
// moderators can do more.

/** @import { Participant } from "/sdk/index.js" */

import { RoomModeration } from "/sdk/index.js";
import { announce } from "./announcer.js";
import { faultWords } from "./faults.js";
import { theMenu } from "./menu.js";

const MINUTES_S = 60;
const MUTE_S = 10 * MINUTES_S;
const BAN_S = 24 * 60 * MINUTES_S;

/**
 * Whom this player has blocked.
 *
 * @typedef {{ isBlocked: (player: string) => boolean,
 *   setBlocked: (player: string, name: string, blocked: boolean) => Promise<void> }} Blocks
 */

export class PersonMenu {
  #blocks;
  #moderation;
  #languages = navigator.languages;

  /**
   * @param {Blocks} blocks
   * @param {{ room: string, token: () => string | Promise<string> }} [moderates] for who may
   */
  constructor(blocks, moderates) {
    this.#blocks = blocks;
    this.#moderation = moderates && new RoomModeration(moderates);
  }

  /**
   * @param {Participant} person
   * @param {HTMLElement} owner
   */
  open(person, owner) {
    const items = [...this.#moderate(person), this.#block(person)];
    theMenu().open(owner, person.name, items);
  }

  /** @param {Participant} person */
  #block({ id, name }) {
    const blocked = this.#blocks.isBlocked(id);
    const words = blocked ? `${name} is not blocked any more.` : `${name} is blocked.`;
    return {
      label: blocked ? `Unblock ${name}` : `Block ${name}`,
      danger: !blocked,
      action: () => this.#try(() => this.#blocks.setBlocked(id, name, !blocked), words),
    };
  }

  /** @param {Participant} person */
  #moderate({ id, name, serverMuted }) {
    const to = this.#moderation;
    if (!to) return [];
    const silence = {
      label: "Silence for 10 minutes",
      action: () => this.#try(() => to.mute(id, MUTE_S), `Nobody hears ${name} for 10 minutes.`),
    };
    const listen = {
      label: "Let everybody hear again",
      action: () => this.#try(() => to.unmute(id), `${name} can be heard again.`),
    };
    return [
      serverMuted ? listen : silence,
      {
        label: "Remove from the room",
        danger: true,
        action: () => this.#try(() => to.kick(id), `${name} was removed.`),
      },
      {
        label: "Keep out for a day",
        danger: true,
        action: () => this.#try(() => to.ban(id, BAN_S), `${name} is kept out for a day.`),
      },
    ];
  }

  /**
   * @param {() => Promise<void>} act
   * @param {string} done
   */
  async #try(act, done) {
    try {
      await act();
      announce(done);
    } catch (error) {
      announce(faultWords(error, this.#languages));
    }
  }
}
