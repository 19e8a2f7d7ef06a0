// A network between a page and its relay that loses packets: a proxy of UDP on loopback, since the
// kernel of a test machine may have no emulator of networks.

import { createSocket } from "node:dgram";
import { once } from "node:events";

/** First bytes of RTP and RTCP (RFC 7983); the rest is what a connection lives by. */
const isVoice = (datagram) => datagram[0] >= 128 && datagram[0] <= 191;

/** Loses `loss` of the packets of voice in each direction, 0 to 1. */
export class LossyNetwork {
  loss = 0;
  #sockets = [];

  /**
   * Puts it between a page, which has not loaded anything yet, and whatever relay it is led to.
   *
   * @param {any} page
   */
  async install(page) {
    await page.exposeFunction("proxyTo", (host, port) => this.#proxyTo(host, port));
    await page.evaluateOnNewDocument(leadThroughProxy);
  }

  /** A port that leads to the relay, for one client. */
  async #proxyTo(host, port) {
    const [front, back] = [createSocket("udp4"), createSocket("udp4")];
    this.#sockets.push(front, back);
    front.bind(0, "127.0.0.1");
    back.bind(0, host);
    await Promise.all([once(front, "listening"), once(back, "listening")]);
    let client = null;
    front.on("message", (datagram, from) => {
      client = from;
      if (this.#passes(datagram)) back.send(datagram, port, host);
    });
    back.on("message", (datagram) => {
      if (client && this.#passes(datagram)) front.send(datagram, client.port, client.address);
    });
    return front.address().port;
  }

  #passes(datagram) {
    return !isVoice(datagram) || Math.random() >= this.loss;
  }

  close() {
    for (const socket of this.#sockets) socket.close();
  }
}

/**
 * The page learns of the proxy in place of the relay, and keeps its last description. Runs in the
 * page.
 */
function leadThroughProxy() {
  const accept = RTCPeerConnection.prototype.setRemoteDescription;
  const ports = new Map();
  RTCPeerConnection.prototype.setRemoteDescription = async function ({ type, sdp }) {
    const udp = /^(a=candidate:\S+ 1 udp \S+ )(\d+\.\d+\.\d+\.\d+) (\d+)( typ host.*)$/i;
    const lines = [];
    for (const line of sdp.split("\r\n")) {
      const [, head, host, port, tail] = udp.exec(line) ?? [];
      if (!head) {
        if (!line.startsWith("a=candidate:")) lines.push(line);
        continue;
      }
      const relay = `${host}:${port}`;
      if (!ports.has(relay)) ports.set(relay, globalThis.proxyTo(host, Number(port)));
      lines.push(`${head}127.0.0.1 ${await ports.get(relay)}${tail}`);
    }
    globalThis.lastAnswer = lines.join("\r\n");
    return accept.call(this, { type, sdp: globalThis.lastAnswer });
  };
}
