// What a room has of the browser it runs in: time, chance and network, connections, sound. A test
// gives others.

/** @import { Peer, PeerOptions } from "./peer.js" */
/** @import { Runtime } from "./runtime.js" */
/** @import { MicrophoneChoice } from "./microphone.js" */

import { openMicrophone } from "./microphone.js";
import { BrowserPeer } from "./peer.js";
import { Playback } from "./playback.js";
import { browserRuntime } from "./runtime.js";

/**
 * `page` says `online` and `pagehide`.
 *
 * @typedef {{ runtime: Runtime,
 *   page: Pick<EventTarget, "addEventListener" | "removeEventListener">,
 *   openPeer: (options: PeerOptions) => Peer,
 *   openPlayback: (onChange: () => void) => Pick<Playback, keyof Playback>,
 *   openMicrophone: (choice: MicrophoneChoice) => Promise<MediaStreamTrack | null> }} RoomPorts
 */

/** @type {RoomPorts} */
export const browserPorts = {
  runtime: browserRuntime,
  page: globalThis,
  openPeer: (options) => new BrowserPeer(options),
  openPlayback: (onChange) => new Playback(onChange),
  openMicrophone,
};
