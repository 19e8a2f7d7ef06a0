// The tiles: one per person, kept while he is there, so that focus and sliders stay put.

/** @import { Participant } from "/sdk/index.js" */

import { byId, icon, make, moreButton, say } from "./dom.js";
import { andMore, doing, hueOf, initials } from "./words.js";

const MUTED =
  "M4 4l16 16M9 9v2a3 3 0 0 0 4.5 2.6M15 11V6a3 3 0 0 0-5.9-.7" +
  "M12 18v3M5.5 11.5a6.5 6.5 0 0 0 10 5.5";
const DEAFENED = "M4 4l16 16M4 14v-2a8 8 0 0 1 2-5.3M9.5 4.4A8 8 0 0 1 20 12v2M4 14v5h3v-5z";
const LOUDSPEAKER = "M4 10v4h3l4.5 4V6L7 10zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11";

/**
 * @typedef {{ tile: HTMLElement, avatar: HTMLElement, letters: HTMLElement, badge: HTMLElement,
 *   name: HTMLElement, doing: HTMLElement, slider: HTMLInputElement | null,
 *   more: HTMLElement | null, person: Participant }} Tile
 */

/**
 * `opponents` are here and not heard; `alone` is what somebody reads who is alone; `menu` opens
 * what can be done about a person.
 *
 * @typedef {{ volumeOf: (id: string) => number, setVolume: (id: string, volume: number) => void,
 *   opponents: ReadonlySet<string>, alone: string, isBlocked: (id: string) => boolean,
 *   menu: (person: Participant, owner: HTMLElement) => void }} PeopleOptions
 */

export class People {
  #list = byId("people");
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  #nobody;
  #more = make("li", "more");
  #options;

  /** @param {PeopleOptions} options */
  constructor(options) {
    this.#options = options;
    this.#nobody = nobodyTile(options.alone);
    this.#list.replaceChildren();
  }

  /**
   * @param {Participant[]} people
   * @param {number} [count] how many are there, where that is more
   */
  show(people, count = people.length) {
    const present = new Set(people.map((person) => person.id));
    for (const [id, { tile }] of this.#tiles) {
      if (present.has(id)) continue;
      tile.remove();
      this.#tiles.delete(id);
    }
    people.forEach((person, index) => {
      const tile = this.#tiles.get(person.id) ?? this.#add(person);
      this.#update(tile, person);
      const there = this.#list.children[index];
      if (there !== tile.tile) this.#list.insertBefore(tile.tile, there ?? null);
    });
    if (people.length === 1) this.#list.append(this.#nobody);
    else this.#nobody.remove();
    if (count > people.length) {
      say(this.#more, andMore(count - people.length));
      this.#list.append(this.#more);
    } else this.#more.remove();
  }

  /**
   * The ring of one's own tile breathes with one's own level.
   *
   * @param {string} id
   * @param {number} level
   */
  showLevel(id, level) {
    this.#tiles.get(id)?.tile.style.setProperty("--level", level.toFixed(2));
  }

  /** @param {Participant} person */
  #add(person) {
    const tile = make("li", "person");
    tile.style.setProperty("--hue", String(hueOf(person.id)));
    const avatar = make("div", "avatar");
    avatar.setAttribute("aria-hidden", "true");
    const letters = make("span");
    const badge = make("span", "badge");
    avatar.append(letters, badge);
    const name = make("h3");
    const state = make("p", "doing");
    tile.append(avatar, name, state);
    const isHeard = !person.self && !this.#options.opponents.has(person.id);
    const slider = isHeard ? this.#addVolume(tile, person.id) : null;
    const made = { tile, avatar, letters, badge, name, doing: state, slider, more: null, person };
    this.#tiles.set(person.id, made);
    if (!person.self) this.#addMenu(made);
    return made;
  }

  /** @param {Tile} tile */
  #addMenu(tile) {
    const more = moreButton("person-more");
    more.addEventListener("click", () => this.#options.menu(tile.person, more));
    tile.tile.append(more);
    tile.more = more;
  }

  /**
   * @param {HTMLElement} tile
   * @param {string} id
   */
  #addVolume(tile, id) {
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: "0", max: "200", step: "5" });
    slider.value = String(Math.round(this.#options.volumeOf(id) * 100));
    const shown = make("output", "", `${slider.value}%`);
    shown.setAttribute("aria-hidden", "true");
    const tell = () => {
      say(shown, `${slider.value}%`);
      slider.setAttribute("aria-valuetext", `${slider.value} percent`);
      slider.style.setProperty("--fill", `${Number(slider.value) / 2}%`);
    };
    slider.addEventListener("input", () => {
      this.#options.setVolume(id, Number(slider.value) / 100);
      tell();
    });
    tell();
    const row = make("div", "volume");
    row.append(icon(LOUDSPEAKER), slider, shown);
    tile.append(row);
    return slider;
  }

  /**
   * @param {Tile} tile
   * @param {Participant} person
   */
  #update(tile, person) {
    const blocked = !person.self && this.#options.isBlocked(person.id);
    const silent = blocked || person.deafened || person.muted || person.serverMuted;
    tile.tile.toggleAttribute("data-speaking", person.speaking && !silent);
    tile.tile.toggleAttribute("data-quiet", silent);
    tile.tile.dataset.player = person.id;
    tile.person = person;
    tile.more?.setAttribute("aria-label", `More about ${person.name}`);
    say(tile.letters, initials(person.name));
    say(tile.name, person.self ? `${person.name} (you)` : person.name);
    tile.name.title = person.name;
    const opponent = this.#options.opponents.has(person.id);
    say(tile.doing, blocked ? "Blocked" : opponent ? "Other team" : doing(person));
    tile.slider?.setAttribute("aria-label", `Volume of ${person.name}`);
    tile.badge.hidden = !silent;
    const wanted = person.deafened ? DEAFENED : MUTED;
    if (silent && tile.badge.dataset.icon !== wanted) {
      tile.badge.dataset.icon = wanted;
      tile.badge.replaceChildren(icon(wanted));
    }
  }
}

/** @param {string} words */
function nobodyTile(words) {
  const tile = make("li", "person nobody");
  tile.append(make("h3", "", "Nobody else here yet"));
  tile.append(make("p", "", words));
  return tile;
}
