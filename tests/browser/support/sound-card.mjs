// A sound card that nobody hears. Firefox runs no AudioContext on a machine without one, and test
// machines have none; on a developer's machine it keeps the test tones out of the room.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const READY_MAX_MS = 10_000;

/**
 * @returns {Promise<{ env: Record<string, string>, close: () => Promise<void> }>} what a browser
 *   needs in its environment to use the card
 */
export async function startSoundCard() {
  const home = await mkdtemp(join(tmpdir(), "lifeverse-sound-"));
  const socket = join(home, "native");
  const server = spawn(
    process.env.PULSEAUDIO ?? "pulseaudio",
    [
      "-n",
      "--daemonize=no",
      "--use-pid-file=no",
      "--exit-idle-time=-1",
      "--load=module-null-sink",
      `--load=module-native-protocol-unix socket=${socket} auth-anonymous=1`,
    ],
    {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, HOME: home, XDG_RUNTIME_DIR: home, XDG_CONFIG_HOME: home },
    },
  );
  let log = "";
  server.stderr.on("data", (text) => (log += text));
  const ended = once(server, "exit").catch((error) => (log += error.message));
  server.on("error", (error) => (log += error.message));
  const deadline = performance.now() + READY_MAX_MS;
  while (!(await access(socket).then(() => true, () => false))) {
    if (server.exitCode !== null || server.pid === undefined || performance.now() > deadline) {
      server.kill();
      throw new Error(`Firefox needs a sound card: install pulseaudio. It said: ${log}`);
    }
    await pause(20);
  }
  return {
    env: { PULSE_SERVER: `unix:${socket}` },
    async close() {
      server.kill();
      await ended;
      await rm(home, { recursive: true, force: true });
    },
  };
}
