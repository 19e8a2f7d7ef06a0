// Tabs that look for a match: form parties, queue, answer, and read what they show.

import { fill, until } from "./scenario.mjs";

/** Wide enough for people and chat side by side. */
const DESK = { width: 1280, height: 800 };

/**
 * A tab at the door to a match.
 *
 * @param {(options?: any) => Promise<any>} open
 * @param {string} name
 * @param {{ tone?: number, queue?: string }} [options]
 */
export async function enterMatchmaking(open, name, { tone, queue = "squads" } = {}) {
  const page = await open({ tone });
  await page.setViewport(DESK);
  await press(page, "#mode-match");
  await fill(page, "#name", name);
  await page.select("#queue", queue);
  page.playerId = await page.$eval("#own-id", (place) => place.textContent);
  return page;
}

/**
 * Presses a control as a keyboard would, which works in a tab that is not in front.
 *
 * @param {any} page
 * @param {string} selector
 */
export async function press(page, selector) {
  await page.focus(selector);
  await page.keyboard.press("Enter");
}

/**
 * A leader and who plays with him: the leader names him, he answers the invitation.
 *
 * @param {any} leader
 * @param {any} other
 */
export async function queueTogether(leader, other) {
  await until(leader, () => !document.querySelector("#party-field").hidden);
  await fill(leader, "#party-ids", other.playerId);
  await leader.keyboard.press("Enter");
  await searchIs(leader, "Waiting for your party");
  // A page that nobody sees does not look for invitations.
  await other.bringToFront();
  const isAsked = (id) => {
    const list = document.querySelector("#invitations:not([hidden])");
    return list?.querySelector("p").textContent.startsWith(id) ?? false;
  };
  await until(other, isAsked, [leader.playerId.slice(0, 10)], { what: "an invitation" });
  await press(other, "#invitations .primary");
}

/** @param {any} page @param {string} title @param {number} [timeout] */
export async function searchIs(page, title, timeout) {
  const isShown = (wanted) => {
    const panel = document.querySelector("#search");
    return !panel.hidden && panel.querySelector("h2").textContent === wanted;
  };
  await until(page, isShown, [title], { what: `"${title}" is shown`, timeout });
}

/**
 * Waits for a panel: `search`, `proposal`, `found` or `join-form`.
 *
 * @param {any} page
 * @param {string} id
 */
export async function panelIs(page, id) {
  await until(page, (wanted) => !document.getElementById(wanted).hidden, [id], {
    what: `the panel ${id}`,
  });
}

/** @param {any[]} pages */
export function allProposed(...pages) {
  return Promise.all(pages.map((page) => panelIs(page, "proposal")));
}

/** The teams as the page shows them: players' texts by the team's title. @param {any} page */
export function teamsOf(page) {
  return page.$$eval(".team", (teams) => teams.map((team) => ({
    title: team.querySelector("h3").textContent,
    players: [...team.querySelectorAll("li")].map((item) => item.textContent),
  })));
}
