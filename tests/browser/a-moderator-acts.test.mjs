// What a moderator does to a person in the room, through the real function and the real relay.

import assert from "node:assert/strict";
import { hears, hearsNothingOf, inState, scenario } from "./support/scenario.mjs";
import { submit, until } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;

/** Ann, who moderates, and Bob, who hear each other. */
async function pair({ open, room }) {
  const [ann, bob] = await Promise.all([open({ tone: ANN }), open({ tone: BOB })]);
  await ann.$eval("#moderator", (box) => box.click());
  for (const [page, name] of [[ann, "Ann"], [bob, "Bob"]]) {
    await submit(page, { name, room });
    await inState(page, "connected");
  }
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
  return [ann, bob];
}

/** Opens the menu on Bob's tile and picks what is called so. */
async function pick(page, label) {
  await page.waitForSelector('.person-more[aria-label="Moderate Bob"]');
  await page.focus('.person-more[aria-label="Moderate Bob"]');
  await page.keyboard.press("Enter");
  await page.waitForSelector("#menu:not([hidden])");
  const labels = await page.$$eval("#menu button", (all) => all.map((one) => one.textContent));
  const at = labels.indexOf(label);
  assert.ok(at >= 0, `${label} is not among ${labels.join(", ")}`);
  for (let n = 0; n < at; n += 1) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
}

/** Waits for what stands on Bob's tile. */
async function bobIs(page, words) {
  const isShown = (wanted) => {
    const all = [...document.querySelectorAll(".person .doing")];
    return all.some((one) => one.textContent === wanted);
  };
  await until(page, isShown, [words], { what: `"${words}" on a tile` });
}

scenario("a moderator silences somebody for all, and lets him be heard again", async (stage) => {
  const [ann, bob] = await pair(stage);
  assert.equal(await bob.$(".person-more"), null, "who does not moderate has no menu");
  await pick(ann, "Silence for 10 minutes");
  await Promise.all([bobIs(ann, "Silenced by a moderator"), bobIs(bob, "Silenced by a moderator")]);
  await hearsNothingOf(ann, BOB);
  await hears(bob, ANN, BOB);

  // Whatever he does: his next join says so too.
  await bob.reload();
  await bob.waitForSelector("#join-form");
  await submit(bob, { name: "Bob", room: stage.room });
  await inState(bob, "connected");
  await bobIs(ann, "Silenced by a moderator");
  await hears(bob, ANN, BOB);
  await hearsNothingOf(ann, BOB);

  await pick(ann, "Let everybody hear again");
  await hears(ann, BOB, ANN);
  for (const page of [ann, bob]) assert.deepEqual(page.faults, []);
});

scenario("a moderator removes somebody, and keeps him out", async (stage) => {
  const [ann, bob] = await pair(stage);
  await pick(ann, "Remove from the room");
  const isOut = (words) => document.querySelector("main").innerText.includes(words);
  await until(bob, isOut, ["You were removed from the room"], { what: "the reason" });
  await bob.reload();
  await bob.waitForSelector("#join-form");
  await submit(bob, { name: "Bob", room: stage.room });
  await inState(bob, "connected");
  await hears(ann, BOB, ANN);

  await pick(ann, "Keep out for a day");
  await until(bob, isOut, ["You were removed from the room"], { what: "the reason" });
  await bob.reload();
  await bob.waitForSelector("#join-form");
  await submit(bob, { name: "Bob", room: stage.room });
  for (const words of ["You are kept out of this room", "open to you again in 24 hours"]) {
    await until(bob, isOut, [words], { what: words });
  }
  await hearsNothingOf(ann, BOB);
  const isAlone = () => document.querySelector("#count").textContent === "Only you so far";
  await until(ann, isAlone, [], { what: "nobody else is here" });
});
