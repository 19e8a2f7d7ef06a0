import { hears, hearsNothingOf, join, scenario, until } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;

/** Waits until a control shows itself as pressed or not. */
async function pressed(page, selector, value) {
  await until(page, (control, wanted) => {
    return document.querySelector(control).getAttribute("aria-pressed") === wanted;
  }, [selector, String(value)]);
}

/** Waits until the tile of somebody says what he is doing. */
async function shows(page, name, doing) {
  await until(page, (who, what) => {
    const tiles = [...document.querySelectorAll(".person")];
    const tile = tiles.find((one) => one.querySelector("h3").textContent.startsWith(who));
    return tile?.querySelector(".doing")?.textContent === what;
  }, [name, doing], { what: `${name} is shown as ${doing}` });
}

scenario("a muted microphone is silence, and everybody sees it", async ({ open, room }) => {
  const ann = await open({ tone: ANN });
  const bob = await open({ tone: BOB });
  await join(ann, { name: "Ann", room });
  await join(bob, { name: "Bob", room });
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);

  await bob.click("#mute");
  await pressed(bob, "#mute", true);
  await shows(ann, "Bob", "Muted");
  await shows(bob, "Bob", "Muted");
  await hearsNothingOf(ann, BOB);
  await hears(bob, ANN, BOB);

  await bob.keyboard.press("m");
  await pressed(bob, "#mute", false);
  await hears(ann, BOB, ANN);
});

scenario("who is deafened hears nobody and is still heard", async ({ open, room }) => {
  const ann = await open({ tone: ANN });
  const bob = await open({ tone: BOB });
  await join(ann, { name: "Ann", room });
  await join(bob, { name: "Bob", room });
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);

  await bob.click("#deafen");
  await shows(ann, "Bob", "Deafened");
  await hearsNothingOf(bob, ANN);
  await hears(ann, BOB, ANN);

  await bob.click("#deafen");
  await hears(bob, ANN, BOB);
});
