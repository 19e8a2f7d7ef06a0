// One WebRTC connection to one relay, as the browser makes it. It decides nothing and is used once.

/** @import { Settings } from "./adapt.js" */
/** @import { RelayMessage } from "./messages.js" */
/** @import { Problem } from "./problem.js" */

import { AT_REST, settingsOf, tuned } from "./adapt.js";
import { parseMessage } from "./messages.js";
import { problemOf } from "./problem.js";

/**
 * What a room needs of a connection. `tracks` is one per slot, in slot order. After `close` nothing
 * is said any more.
 *
 * @typedef {object} Peer
 * @property {MediaStreamTrack[]} tracks
 * @property {() => Promise<string>} offer makes the SDP offer
 * @property {(sdp: string) => Promise<void>} answer takes the relay's answer and connects
 * @property {(message: Record<string, unknown>) => void} send by the data channel, if that is open
 * @property {(track: MediaStreamTrack | null) => Promise<void>} setTrack sends another microphone
 * @property {(settings: Settings) => Promise<void>} adapt sends so from now on, as far as the
 *   browser can: bitrate and packet time, and RED where it has that. FEC it adds by itself.
 * @property {() => Promise<Record<string, any>[]>} stats the values of an RTCStatsReport
 * @property {() => void} close
 *
 * What happens to it: `reachable`, the relay answers connectivity checks; `opened`, the data
 * channel takes messages; `message`, one came; `failed`, it ended.
 *
 * @typedef {{ type: "reachable" } | { type: "opened" }
 *   | { type: "message", message: RelayMessage | null }
 *   | { type: "failed", problem: Problem }} PeerEvent
 *
 * @typedef {{ slots: number, track: MediaStreamTrack | null, redundancy: boolean,
 *   handle: (event: PeerEvent) => void }} PeerOptions
 */

const REST = settingsOf(AT_REST);

/** @implements {Peer} */
export class BrowserPeer {
  #connection;
  #channel;
  #microphone;
  #closed = false;
  /** As the relay sent it, and as the browser was given it. */
  #answer = "";
  #given = "";
  tracks;

  /** @param {PeerOptions} options */
  constructor({ slots, track, redundancy, handle }) {
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#connection = connection;
    this.#channel = connection.createDataChannel("lv");
    const microphone = connection.addTransceiver(track ?? "audio", { direction: "sendonly" });
    if (redundancy) preferRedundancy(microphone);
    this.#microphone = microphone.sender;
    this.tracks = Array.from({ length: slots }, () => {
      return connection.addTransceiver("audio", { direction: "recvonly" }).receiver.track;
    });
    const fail = (/** @type {string} */ detail) => {
      handle({ type: "failed", problem: problemOf("connection-lost", detail) });
    };
    this.#channel.onopen = () => handle({ type: "opened" });
    this.#channel.onmessage = ({ data }) => {
      handle({ type: "message", message: parseMessage(data) });
    };
    this.#channel.onclose = () => fail("The relay closed the connection.");
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed") fail("The connection to the relay broke.");
    };
    connection.oniceconnectionstatechange = () => {
      const state = connection.iceConnectionState;
      if (state === "connected" || state === "completed") handle({ type: "reachable" });
    };
  }

  async offer() {
    await this.#connection.setLocalDescription();
    return this.#connection.localDescription?.sdp ?? "";
  }

  /** @param {string} sdp */
  async answer(sdp) {
    await this.#connection.setRemoteDescription({ type: "answer", sdp });
    this.#answer = this.#given = sdp;
  }

  /** @param {Settings} settings */
  async adapt(settings) {
    if (this.#closed || !this.#answer) return;
    const parameters = this.#microphone.getParameters();
    for (const encoding of parameters.encodings) {
      // At rest it is the browser's own choice.
      if (settings.bitrateBps < REST.bitrateBps) encoding.maxBitrate = settings.bitrateBps;
      else delete encoding.maxBitrate;
    }
    await this.#microphone.setParameters(parameters);
    const sdp = tuned(this.#answer, settings);
    if (this.#closed || sdp === this.#given) return;
    // Between the browser and itself: the relay is not asked, and goes on with what it has.
    this.#given = sdp;
    await this.#connection.setLocalDescription();
    await this.#connection.setRemoteDescription({ type: "answer", sdp });
  }

  /** @param {Record<string, unknown>} message */
  send(message) {
    if (this.#closed || this.#channel.readyState !== "open") return;
    try {
      this.#channel.send(JSON.stringify(message));
    } catch {
      // A full or closing channel; the heartbeat decides what becomes of it.
    }
  }

  /** @param {MediaStreamTrack | null} track */
  async setTrack(track) {
    if (!this.#closed) await this.#microphone.replaceTrack(track);
  }

  async stats() {
    /** @type {Record<string, any>[]} */
    const values = [];
    if (this.#closed) return values;
    const report = await this.#connection.getStats();
    report.forEach((value) => values.push(value));
    return values;
  }

  close() {
    this.#closed = true;
    this.#channel.onopen = this.#channel.onmessage = this.#channel.onclose = null;
    this.#connection.onconnectionstatechange = null;
    this.#connection.oniceconnectionstatechange = null;
    this.#connection.close();
  }
}

/**
 * Offers redundant audio (RFC 2198) before Opus alone, where the browser has it.
 *
 * @param {RTCRtpTransceiver} microphone
 */
function preferRedundancy(microphone) {
  const codecs = RTCRtpSender.getCapabilities("audio")?.codecs ?? [];
  const isRed = (/** @type {{ mimeType: string }} */ codec) => {
    return codec.mimeType.toLowerCase() === "audio/red";
  };
  if (!codecs.some(isRed)) return;
  const others = codecs.filter((codec) => !isRed(codec));
  microphone.setCodecPreferences([...codecs.filter(isRed), ...others]);
}
