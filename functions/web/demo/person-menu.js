// What a moderator can do to a person in the room, as a menu on his tile.

/** @import { Participant } from "/sdk/index.js" */

import { RoomModeration } from "/sdk/index.js";
import { announce } from "./announcer.js";
import { faultWords } from "./faults.js";
import { theMenu } from "./menu.js";

const MINUTES_S = 60;
const MUTE_S = 10 * MINUTES_S;
const BAN_S = 24 * 60 * MINUTES_S;

export class PersonMenu {
  #moderation;
  #languages = navigator.languages;

  /** @param {{ room: string, token: () => string | Promise<string> }} options */
  constructor(options) {
    this.#moderation = new RoomModeration(options);
  }

  /**
   * @param {Participant} person
   * @param {HTMLElement} owner
   */
  open(person, owner) {
    const { id, name, serverMuted } = person;
    const to = this.#moderation;
    const silence = {
      label: "Silence for 10 minutes",
      action: () => this.#try(() => to.mute(id, MUTE_S), `Nobody hears ${name} for 10 minutes.`),
    };
    const listen = {
      label: "Let everybody hear again",
      action: () => this.#try(() => to.unmute(id), `${name} can be heard again.`),
    };
    theMenu().open(owner, `Moderate ${name}`, [
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
    ]);
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
