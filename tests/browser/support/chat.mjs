// Tabs that chat: opens them, writes as a person would, and reads what they show.

import { fill, inState, submit, until } from "./scenario.mjs";

const DESK = { width: 1280, height: 800 };
/** The narrowest telephone. */
export const PHONE = { width: 360, height: 740 };

/** Keeps hold of the page's data channels, so that a test can cut them. Runs in the page. */
function keepChannels() {
  globalThis.dataChannels = [];
  const create = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...given) {
    const channel = create.apply(this, given);
    globalThis.dataChannels.push(channel);
    return channel;
  };
}

/**
 * A tab in the room with its chat connected.
 *
 * @param {{ open: (options?: any) => Promise<any>, room: string }} stage
 * @param {string} name
 * @param {{ moderator?: boolean, viewport?: { width: number, height: number },
 *   kind?: "chromium" | "firefox" }} [options]
 */
export async function enterChat({ open, room }, name, options = {}) {
  const { moderator = false, viewport = DESK, kind } = options;
  const page = await open({ kind, before: (fresh) => fresh.evaluateOnNewDocument(keepChannels) });
  await page.setViewport(viewport);
  if (moderator) await page.click("#moderator");
  await submit(page, { name, room });
  await inState(page, "connected");
  await chatIs(page, "live");
  return page;
}

/** @param {any} page @param {string} state */
export async function chatIs(page, state) {
  await until(page, (wanted) => document.querySelector("#chat").dataset.state === wanted, [state], {
    what: `chat ${state}`,
  });
}

/** @param {any} page @param {string} text */
export async function say(page, text) {
  await fill(page, "#message", text);
  await page.keyboard.press("Enter");
}

/** Says each and waits until the service has it. @param {any} page @param {string[]} texts */
export async function sayAll(page, texts) {
  for (const text of texts) {
    await say(page, text);
    await until(page, isSent, [text], { what: `"${text}" sent` });
  }
}

/** @param {string} text */
function isSent(text) {
  const last = [...document.querySelectorAll("#messages .message")].at(-1);
  return last?.dataset.state === "sent" && last.querySelector(".text").textContent === text;
}

/** @param {any} page @returns {Promise<string[]>} */
export function texts(page) {
  return page.$$eval("#messages .text", (all) => all.map((one) => one.textContent));
}

/**
 * Waits until the list is exactly this.
 *
 * @param {any} page
 * @param {string[]} wanted
 */
export async function shows(page, wanted) {
  const list = JSON.stringify(wanted);
  await until(page, isShown, [list], { what: `the messages ${list}` });
}

/** @param {string} list */
function isShown(list) {
  const all = [...document.querySelectorAll("#messages .text")].map((one) => one.textContent);
  return JSON.stringify(all) === list;
}

/**
 * Opens a message's menu.
 *
 * @param {any} page
 * @param {string} text
 * @returns {Promise<string[]>} what can be done
 */
export async function openMenu(page, text) {
  const message = await page.evaluateHandle((wanted) => {
    const all = [...document.querySelectorAll("#messages .message")];
    return all.find((one) => one.querySelector(".text").textContent === wanted);
  }, text);
  await message.focus();
  await page.keyboard.press("Enter");
  return await page.$$eval("#menu button", (all) => all.map((one) => one.textContent));
}

/** @param {any} page @param {string} text @param {string} action */
export async function choose(page, text, action) {
  await openMenu(page, text);
  await pick(page, action);
}

/**
 * Clicks with the mouse, for which a tab must be the one in front.
 *
 * @param {any} page
 * @param {string} selector
 */
export async function click(page, selector) {
  await page.bringToFront();
  await page.click(selector);
}

/** Presses an item of the open menu. @param {any} page @param {string} action */
export async function pick(page, action) {
  await page.evaluate((label) => {
    const items = [...document.querySelectorAll("#menu:not([hidden]) button")];
    const item = items.find((one) => one.textContent === label);
    if (!item) throw new Error(`no "${label}" in ${items.map((one) => one.textContent)}`);
    item.click();
  }, action);
}

/** No network for the page, and nothing from the relay. @param {any} page */
export async function unplug(page) {
  await page.setOfflineMode(true);
  await page.evaluate(() => globalThis.dataChannels.forEach((channel) => channel.close()));
  await inState(page, "reconnecting");
}

/**
 * Answers the page's requests for messages with a history of `count`, as the edge would.
 *
 * @param {any} page
 * @param {number} count
 */
export async function serveHistory(page, count) {
  const message = (seq) => {
    const author = `p-${seq % 3}`;
    const text = `message ${seq} ${"and so on ".repeat(seq % 9)}`.trim();
    return { seq, at_ms: seq * 60_000, version: 1, author, name: `Player ${seq % 3}`, text };
  };
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    const url = new URL(request.url());
    const isHistory = request.method() === "GET" && /^\/v1\/chat\/.*\/messages$/.test(url.pathname);
    if (!isHistory) return request.continue();
    const number = (name, otherwise) => Number(url.searchParams.get(name) ?? otherwise);
    const limit = Math.min(number("limit", 50), 100);
    const forward = url.searchParams.has("after");
    const before = number("before", count + 1);
    const first = forward ? number("after", 0) + 1 : Math.max(1, before - limit);
    const last = forward ? first + limit - 1 : before - 1;
    const messages = [];
    for (let seq = first; seq <= Math.min(last, count); seq += 1) messages.push(message(seq));
    const next = (forward ? messages.at(-1) : messages[0])?.seq;
    const body = JSON.stringify({ messages, next, more: messages.length === limit });
    request.respond({ status: 200, contentType: "application/json", body });
  });
}
