// A test in a real browser: opens pages, fails with screenshots, closes what it opened.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { after, test } from "node:test";
import { launch } from "./browsers.mjs";
import { installFakeRelay } from "./fake-relay.mjs";
import { installEars } from "./page-hooks.mjs";

const SCREENSHOTS = fileURLToPath(new URL("../../../target/browser/", import.meta.url));
const TEST_MAX_MS = 90_000;
const STEP_MAX_MS = 20_000;

/** Where the page is served; `cargo xtask test` sets it. */
export const EDGE_URL = process.env.EDGE_URL ?? "";
/** Where the relay of the test rig can be killed and started. */
const RELAY_CONTROL = process.env.RELAY_CONTROL ?? process.env.RIG_CONTROL ?? "";

/** Above this a tone is heard, in dB of the analyser; our tones arrive at about -30. */
const HEARD_DB = -55;
/** How far below another tone the own one must stay. */
const APART_DB = 20;
/** Below this there is nothing. */
const SILENT_DB = -80;

/** One browser of a kind per file, started when first needed. */
const browsers = new Map();

after(async () => {
  for (const started of browsers.values()) await (await started).close();
});

/** @param {"chromium" | "firefox"} kind */
async function browserOf(kind) {
  if (!browsers.has(kind)) browsers.set(kind, launch(kind));
  return (await browsers.get(kind)).browser;
}

/**
 * @param {string} name
 * @param {(stage: { open: (options?: OpenOptions) => Promise<any>, room: string }) =>
 *   Promise<void>} play
 */
export function scenario(name, play) {
  test(name, { timeout: TEST_MAX_MS }, async () => {
    if (!EDGE_URL) throw new Error("EDGE_URL is not set; run `cargo xtask test --only browser`");
    const pages = [];
    // Tabs of one test share storage, as the tabs of a person do; tests share nothing.
    const contexts = new Map();
    const contextOf = async (kind) => {
      if (!contexts.has(kind)) {
        contexts.set(kind, (await browserOf(kind)).createBrowserContext());
      }
      return contexts.get(kind);
    };
    const stage = {
      // A room of its own for every run, so that no test meets the people of another one.
      room: `test-${process.pid}-${(sequence += 1)}`,
      open: async (options) => {
        const context = await contextOf(options?.kind ?? "chromium");
        const page = await context.newPage();
        pages.push(page);
        return open(page, options);
      },
    };
    try {
      await play(stage);
    } catch (error) {
      await keepScreenshots(name, pages);
      throw error;
    } finally {
      for (const context of contexts.values()) await (await context).close();
    }
  });
}

let sequence = 0;

/**
 * A tab with a tone for a microphone.
 *
 * @typedef {{ kind?: "chromium" | "firefox", tone?: number | null, fakeRelay?: boolean,
 *   before?: (page: any) => Promise<void>, hash?: string }} OpenOptions
 *
 * @param {any} page
 * @param {OpenOptions} [options]
 */
async function open(page, { tone = 440, fakeRelay = false, before, hash = "" } = {}) {
  page.setDefaultTimeout(STEP_MAX_MS);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.message));
  await page.evaluateOnNewDocument(installEars, { tone });
  if (fakeRelay) await page.evaluateOnNewDocument(installFakeRelay);
  await before?.(page);
  await page.goto(`${EDGE_URL}/${hash}`);
  await page.waitForSelector("#join-form");
  return page;
}

/** @param {string} name @param {any[]} pages */
async function keepScreenshots(name, pages) {
  await mkdir(SCREENSHOTS, { recursive: true });
  for (const [index, page] of pages.entries()) {
    const file = path.join(SCREENSHOTS, `${name.replace(/\W+/g, "-")}-${index}.png`);
    // A page that is gone has no picture; the test's own error is the one to show.
    await page.screenshot({ path: file }).then(
      () => console.error(`screenshot: ${file}`),
      (error) => console.error(`no screenshot: ${error.message}`),
    );
    if (page.faults.length > 0) console.error(`page errors: ${page.faults.join("; ")}`);
  }
}

/**
 * Fills in the form and presses Enter, as a person would.
 *
 * @param {any} page
 * @param {{ name: string, room: string }} person
 */
export async function submit(page, { name, room }) {
  await fill(page, "#name", name);
  await fill(page, "#room-name", room);
  await page.keyboard.press("Enter");
}

/** @param {any} page @param {string} selector @param {string} text */
export async function fill(page, selector, text) {
  await page.focus(selector);
  await page.$eval(selector, (field) => field.select());
  await page.keyboard.type(text);
}

/** @param {any} page @param {{ name: string, room: string }} person */
export async function join(page, person) {
  await submit(page, person);
  await inState(page, "connected");
}

/** @param {any} page @param {string} state @param {number} [timeout] */
export async function inState(page, state, timeout = STEP_MAX_MS) {
  await until(page, (wanted) => document.querySelector("#room").dataset.state === wanted, [state], {
    what: `state ${state}`,
    timeout,
  });
}

/**
 * Waits for a condition in the page. The error tells what was waited for.
 *
 * @param {any} page
 * @param {(...values: any[]) => unknown} condition
 * @param {unknown[]} [values]
 * @param {{ what?: string, timeout?: number }} [more]
 */
export async function until(page, condition, values = [], { what, timeout = STEP_MAX_MS } = {}) {
  try {
    await page.waitForFunction(condition, { timeout, polling: 50 }, ...values);
  } catch (error) {
    const text = await page.$eval("main", (main) => main.innerText).catch(() => "nothing");
    const waited = what ?? condition.toString();
    throw new Error(`${waited}: not within ${timeout} ms; the page shows: ${text}`, {
      cause: error,
    });
  }
}

/**
 * The page's loudspeaker plays `other` and not `own`.
 *
 * @param {any} page
 * @param {number} other
 * @param {number} own
 * @param {number} [timeout]
 */
export async function hears(page, other, own, timeout = STEP_MAX_MS) {
  const condition = (/** @type {number} */ a, b, heard, apart) => {
    const level = heardDecibels(a);
    return level > heard && level - heardDecibels(b) > apart;
  };
  const what = `hears ${other} Hz and not ${own} Hz`;
  await until(page, condition, [other, own, HEARD_DB, APART_DB], { what, timeout });
}

/** @param {any} page @param {number} tone @param {number} [timeout] */
export async function hearsNothingOf(page, tone, timeout = STEP_MAX_MS) {
  const condition = (a, silent) => heardDecibels(a) < silent;
  await until(page, condition, [tone, SILENT_DB], { what: `hears nothing at ${tone} Hz`, timeout });
}

/** @param {any} page @param {string} selector */
export function textOf(page, selector) {
  return page.$eval(selector, (element) => element.textContent.trim());
}

/** @param {"kill-relay" | "start-relay"} order */
export async function rig(order) {
  if (!RELAY_CONTROL) throw new Error("RELAY_CONTROL is not set; run `cargo xtask test`");
  const reply = await fetch(`${RELAY_CONTROL}/${order}`, { method: "POST" });
  if (!reply.ok) throw new Error(`the rig answered ${order} with ${reply.status}`);
}
