// The page without a mouse and without eyes. The relay is one inside the page: these are questions
// to the page alone.

import assert from "node:assert/strict";
import { inState, join, scenario, until } from "./support/scenario.mjs";

const ANN = { id: 2, player: "p-ann", name: "Ann", tone: 880 };

async function inRoomWithAnn(open, room) {
  const page = await open({ fakeRelay: true });
  await page.evaluate((ann) => Object.assign(fakeRelay, { others: [ann] }), ANN);
  await join(page, { name: "Me", room });
  return page;
}

/** The ids of the controls that Tab visits, in order. */
async function tabOrder(page, steps) {
  const visited = [];
  for (let step = 0; step < steps; step += 1) {
    await page.keyboard.press("Tab");
    visited.push(await page.evaluate(() => {
      const { activeElement: element } = document;
      return element.id || element.className || element.getAttribute("aria-label");
    }));
  }
  return visited;
}

/** All nodes of the accessibility tree as "role name" lines. */
async function heardTree(page) {
  const lines = [];
  const visit = (node) => {
    const pressed = node.pressed === undefined ? "" : ` pressed=${node.pressed}`;
    lines.push(`${node.role} ${node.name ?? ""}${pressed}`.trim());
    for (const child of node.children ?? []) visit(child);
  };
  visit(await page.accessibility.snapshot({ interestingOnly: false }));
  return lines;
}

scenario("the door by keyboard alone, and back", async ({ open, room }) => {
  const page = await open({ fakeRelay: true, hash: `#${room}` });
  const door = ["mode-room", "mode-match", "name", "room-name", "go"];
  assert.deepEqual((await tabOrder(page, 6)).slice(1), door);
  // A missing name is told at the field, and the focus goes there.
  await page.keyboard.press("Enter");
  const fault = await page.evaluate(() => {
    const { activeElement: field } = document;
    const described = field.getAttribute("aria-describedby");
    return [field.id, field.ariaInvalid, document.getElementById(described).textContent];
  });
  assert.deepEqual(fault, ["name", "true", "Enter the name that others should see."]);
  await page.keyboard.type("Me");
  await page.keyboard.press("Enter");
  await inState(page, "connected");
  assert.equal(await page.evaluate(() => document.activeElement.id), "room-title");
  const order = ["invite", "view-people", "view-chat", "mute", "deafen", "sound", "leave"];
  assert.deepEqual(await tabOrder(page, order.length), order);
  await page.keyboard.press("Enter");
  await until(page, () => document.activeElement.id === "name");
});

scenario("M and D work outside of fields and can be switched off", async ({ open, room }) => {
  const page = await inRoomWithAnn(open, room);
  const state = () =>
    page.evaluate(() => ["mute", "deafen"].map((id) => document.getElementById(id).ariaPressed));
  await page.keyboard.press("m");
  await page.keyboard.press("d");
  assert.deepEqual(await state(), ["true", "true"]);
  await page.keyboard.press("M");
  assert.deepEqual(await state(), ["false", "true"]);
  await page.keyboard.down("Control");
  await page.keyboard.press("m");
  await page.keyboard.up("Control");
  assert.deepEqual(await state(), ["false", "true"]);

  await page.focus("#sound");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#settings[open]");
  assert.equal(await page.evaluate(() => document.activeElement.id), "microphone");
  await page.click("#shortcuts");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.id), "sound");
  await page.keyboard.press("m");
  assert.deepEqual(await state(), ["false", "true"]);
});

scenario("a screen reader finds the room, the people and the controls", async ({ open, room }) => {
  const page = await inRoomWithAnn(open, room);
  await page.keyboard.press("m");
  const tree = await heardTree(page);
  const wanted = [
    "main",
    `heading #${room}`,
    "heading People in this room",
    "list People in this room",
    "heading Ann",
    "slider Volume of Ann",
    "group Your voice",
    "button Mute microphone pressed=true",
    "button Deafen, hear nobody pressed=false",
    "button Sound settings",
    "button Leave the room",
    "meter Your microphone level",
    "button Copy invite link",
  ];
  for (const line of wanted) {
    assert.ok(tree.includes(line), `${line} is not in:\n${tree.join("\n")}`);
  }
  const unnamed = tree.filter((line) => /^(button|slider|combobox|textbox|checkbox)$/.test(line));
  assert.deepEqual(unnamed, []);
});

scenario("what happens is announced politely", async ({ open, room }) => {
  const page = await inRoomWithAnn(open, room);
  const announced = async (text) => {
    await until(page, (part) => document.querySelector("#announcer").textContent.includes(part), [
      text,
    ]);
  };
  assert.equal(await page.$eval("#announcer", (place) => place.ariaLive), "polite");
  await announced(`You are in ${room}.`);
  await page.evaluate(() => {
    const eve = { id: 9, player: "p-eve", name: "Eve", channels: ["main"], speaker: true };
    fakeRelay.say({ type: "roster", joined: [eve], left: [2], changed: [] });
  });
  await announced("Eve joined. Ann left.");
  await page.keyboard.press("m");
  await announced("Microphone muted.");
});

for (const scheme of ["light", "dark"]) {
  scenario(`text can be read in the ${scheme} scheme`, async ({ open, room }) => {
    const features = [
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ];
    const before = (fresh) => fresh.emulateMediaFeatures(features);
    const page = await open({ fakeRelay: true, before });
    const door = await contrasts(page, [".lead", ".hint", "label", ".primary", ".quiet", "h1"]);
    await page.click("#mode-match");
    const match = await contrasts(page, [".view", "#mode-match", "#party-hint", ".link", "#queue"]);
    await page.click("#mode-room");
    await page.evaluate((ann) => Object.assign(fakeRelay, { others: [ann] }), ANN);
    await join(page, { name: "Me", room });
    await page.keyboard.press("m");
    const inside = await contrasts(page, [
      ".count",
      ".quality",
      ".person h3",
      ".person .doing",
      ".avatar",
      "#mute",
      "#leave",
      ".volume output",
    ]);
    for (const [selector, ratio] of [...door, ...match, ...inside]) {
      assert.ok(ratio >= 4.5, `${selector} has a contrast of ${ratio.toFixed(2)}`);
    }
  });
}

/** The contrast of each element's text with the nearest ground behind it (WCAG 2.2). */
function contrasts(page, selectors) {
  return page.evaluate((list) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    // The canvas turns every colour notation into red, green, blue and opacity.
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (colour) => {
      const [r, g, b] = rgba(colour).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const groundOf = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor;
        if (rgba(colour)[3] > 200) return colour;
      }
      return "white";
    };
    return list.map((selector) => {
      const element = document.querySelector(selector);
      const text = luminance(getComputedStyle(element).color);
      const ground = luminance(groundOf(element));
      const [light, dark] = text > ground ? [text, ground] : [ground, text];
      return [selector, (light + 0.05) / (dark + 0.05)];
    });
  }, selectors);
}

scenario("less motion is no motion", async ({ open, room }) => {
  const page = await open({ fakeRelay: true });
  await page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
  await page.evaluate((ann) => Object.assign(fakeRelay, { others: [ann] }), ANN);
  await join(page, { name: "Me", room });
  await page.evaluate(() => fakeRelay.say({ type: "speaking", started: [2], stopped: [] }));
  await page.waitForSelector(".person[data-speaking]");
  await until(page, () => {
    return document.getAnimations().every(({ playState }) => playState !== "running");
  });
});

for (const width of [320, 390, 820, 1440]) {
  scenario(`nothing is cut off at ${width} pixels`, async ({ open, room }) => {
    const page = await open({ fakeRelay: true });
    await page.setViewport({ width, height: 800 });
    const overflow = () =>
      page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return scrollWidth - clientWidth;
      });
    assert.equal(await overflow(), 0);
    await page.click("#mode-match");
    assert.equal(await overflow(), 0);
    await page.click("#mode-room");
    await page.evaluate(() => {
      const name = "Maximiliane von Hohenstaufen-Wittelsbach zu Sachsen";
      fakeRelay.others = [{ id: 2, player: "p-long", name, tone: 0 }];
    });
    await join(page, { name: "Me", room: `${room}${"-long".repeat(8)}` });
    assert.equal(await overflow(), 0);
  });
}
