// The tiles of people in a room, and the menus on them.

import assert from "node:assert/strict";
import { until } from "./scenario.mjs";

/** Opens the menu on somebody's tile, and gives what stands in it. */
async function openMenu(page, name) {
  const more = `.person-more[aria-label="More about ${name}"]`;
  await page.waitForSelector(more);
  await page.focus(more);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#menu:not([hidden])");
  return page.$$eval("#menu button", (all) => all.map((one) => one.textContent));
}

/** What can be done about somebody. */
export async function menuOf(page, name) {
  const labels = await openMenu(page, name);
  await page.keyboard.press("Escape");
  return labels;
}

/** Picks from the menu on somebody's tile what is called so. */
export async function pick(page, name, label) {
  const labels = await openMenu(page, name);
  const at = labels.indexOf(label);
  assert.ok(at >= 0, `${label} is not among ${labels.join(", ")}`);
  for (let n = 0; n < at; n += 1) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
}

/** Waits for what stands on somebody's tile. */
export async function tileSays(page, name, words) {
  const isShown = (of, wanted) => {
    const tiles = [...document.querySelectorAll(".person")];
    const his = tiles.filter((tile) => tile.querySelector("h3")?.title === of);
    return his.some((tile) => tile.querySelector(".doing")?.textContent === wanted);
  };
  await until(page, isShown, [name, words], { what: `"${words}" on the tile of ${name}` });
}
