// Starting browsers for a test file, and ending them with everything they opened.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { startSoundCard } from "./sound-card.mjs";

const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--mute-audio",
  // A test machine has no multicast to resolve the names that would hide addresses.
  "--disable-features=WebRtcHideLocalIpsWithMdns",
  // Several tabs talk at once; none of them may be put to sleep for being behind another.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

const FIREFOX_PREFS = {
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  "media.navigator.permission.disabled": true,
  // The relay of a test is on this machine.
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "media.gmp-manager.updateEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "dom.min_background_timeout_value": 50,
};

/** @param {"chromium" | "firefox"} kind */
export async function launch(kind) {
  const profile = await mkdtemp(join(tmpdir(), `lifeverse-${kind}-`));
  const chromium = kind === "chromium";
  const sound = chromium ? null : await startSoundCard();
  const browser = await puppeteer.launch({
    browser: chromium ? "chrome" : "firefox",
    executablePath: chromium
      ? (process.env.CHROMIUM ?? "/usr/bin/chromium")
      : (process.env.FIREFOX ?? "/usr/bin/firefox-esr"),
    headless: true,
    userDataDir: profile,
    args: chromium ? CHROMIUM_FLAGS : [],
    env: { ...process.env, ...sound?.env },
    extraPrefsFirefox: chromium ? undefined : FIREFOX_PREFS,
    protocolTimeout: 60_000,
  });
  return {
    browser,
    async close() {
      await browser.close();
      await sound?.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}
