"""An independent WebRTC stack (aiortc) joins, publishes and listens.

`cargo xtask test --only aiortc` runs it against the rig of tests/e2e, whose address is in EDGE_URL.
The last line is `N passed, N failed`.
"""

import asyncio
import fractions
import json
import os
import sys
import traceback

import aiohttp
import numpy
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

EDGE_URL = os.environ["EDGE_URL"]
SAMPLE_RATE = 48_000
FRAME_SAMPLES = 960
# Longest wait for anything, seconds.
PATIENCE = 15
# Share of a slot's energy that a tone must have to count as heard, and below which it is not.
HEARD = 0.5
SILENT = 0.02
# Slots that a client offers.
SLOTS = 4


class Tone(MediaStreamTrack):
    """A sine that swells three times a second: voice detection takes a steady tone for noise."""

    kind = "audio"

    def __init__(self, hertz):
        super().__init__()
        self.hertz = hertz
        self.sample = 0
        self.started = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        if self.started is None:
            self.started = loop.time()
        due = self.started + self.sample / SAMPLE_RATE
        # A track paces itself; this is the sound card's clock, not a wait for something.
        await asyncio.sleep(max(0, due - loop.time()))
        at = (self.sample + numpy.arange(FRAME_SAMPLES)) / SAMPLE_RATE
        swell = 0.6 + 0.4 * numpy.sin(2 * numpy.pi * 3 * at)
        wave = 12_000 * swell * numpy.sin(2 * numpy.pi * self.hertz * at)
        frame = AudioFrame.from_ndarray(wave.astype(numpy.int16).reshape(1, -1), layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self.sample
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        self.sample += FRAME_SAMPLES
        return frame


class Silence(Tone):
    """A microphone that sends nothing."""

    async def recv(self):
        await asyncio.Event().wait()


class Ear:
    """What one slot plays: shares of energy by frequency over the last half second."""

    def __init__(self):
        self.samples = numpy.zeros(0)
        self.changed = asyncio.Event()

    async def listen(self, track):
        try:
            while True:
                frame = await track.recv()
                sound = frame.to_ndarray().reshape(-1).astype(float)
                if frame.layout.nb_channels == 2:
                    sound = sound.reshape(-1, 2).mean(axis=1)
                self.samples = numpy.append(self.samples, sound)[-SAMPLE_RATE // 2 :]
                self.changed.set()
        except MediaStreamError:
            pass

    def share(self, hertz):
        """Share (0 to 1) of the energy that lies within 20 Hz of `hertz`."""
        if len(self.samples) < SAMPLE_RATE // 4:
            return 0.0
        power = numpy.abs(numpy.fft.rfft(self.samples * numpy.hanning(len(self.samples)))) ** 2
        frequencies = numpy.fft.rfftfreq(len(self.samples), 1 / SAMPLE_RATE)
        near = power[numpy.abs(frequencies - hertz) < 20].sum()
        total = power.sum()
        # Digital silence has no shares.
        return float(near / total) if total > 1e6 else 0.0


class Player:
    """One aiortc peer connection, set up as the SDK sets up its own."""

    def __init__(self, http, name, room):
        self.http = http
        self.name = name
        self.room = room
        self.pc = RTCPeerConnection()
        self.ears = []
        self.tasks = []
        self.messages = []
        self.message_came = asyncio.Event()
        self.pc.on("track", self.on_track)

    def on_track(self, track):
        ear = Ear()
        self.ears.append(ear)
        self.tasks.append(asyncio.ensure_future(ear.listen(track)))

    async def token(self):
        body = {"player": self.name, "room": self.room, "name": self.name.title()}
        async with self.http.post(f"{EDGE_URL}/dev/token", json=body) as reply:
            assert reply.status == 200, await reply.text()
            return (await reply.json())["token"]

    async def join(self, microphone):
        self.pc.addTransceiver(microphone, direction="sendonly")
        for _ in range(SLOTS):
            self.pc.addTransceiver("audio", direction="recvonly")
        channel = self.pc.createDataChannel("lv")
        channel.on("message", self.on_message)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        headers = {"authorization": f"Bearer {await self.token()}"}
        url = f"{EDGE_URL}/v1/rooms/{self.room}/sessions"
        body = {"offer": self.pc.localDescription.sdp}
        async with self.http.post(url, json=body, headers=headers) as reply:
            assert reply.status == 201, await reply.text()
            joined = await reply.json()
        hello = json.dumps({"type": "hello", "sealed": joined["hello"]})
        channel.on("open", lambda: channel.send(hello))
        await self.accept(joined["answer"])
        await self.told(lambda message: message["type"] == "welcome")

    async def publish_by_whip(self, hertz):
        """Publishes as any WHIP client (RFC 9725) does; returns the session's address."""
        self.pc.addTransceiver(Tone(hertz), direction="sendonly")
        await self.pc.setLocalDescription(await self.pc.createOffer())
        headers = {
            "authorization": f"Bearer {await self.token()}",
            "content-type": "application/sdp",
        }
        url = f"{EDGE_URL}/v1/rooms/{self.room}/whip"
        sdp = self.pc.localDescription.sdp
        async with self.http.post(url, data=sdp, headers=headers) as reply:
            assert reply.status == 201, await reply.text()
            assert reply.headers["content-type"] == "application/sdp"
            session = reply.headers["location"]
            await self.accept(await reply.text())
        return f"{EDGE_URL}{session}", headers

    async def accept(self, answer):
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    def on_message(self, text):
        self.messages.append(json.loads(text))
        self.message_came.set()

    async def told(self, wanted):
        """Waits for a message that `wanted` accepts."""
        async with asyncio.timeout(PATIENCE):
            while not any(wanted(message) for message in self.messages):
                self.message_came.clear()
                await self.message_came.wait()

    async def hears(self, hertz):
        """Waits until a slot plays `hertz`."""
        async with asyncio.timeout(PATIENCE):
            while not any(ear.share(hertz) > HEARD for ear in self.ears):
                for ear in self.ears:
                    ear.changed.clear()
                waits = [asyncio.ensure_future(ear.changed.wait()) for ear in self.ears]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()

    def plays(self, hertz):
        return any(ear.share(hertz) > SILENT for ear in self.ears)

    async def close(self):
        await self.pc.close()
        for task in self.tasks:
            task.cancel()


async def two_players_hear_each_other(http):
    ann, bob = Player(http, "ann", "aiortc-talk"), Player(http, "bob", "aiortc-talk")
    try:
        await ann.join(Tone(440))
        await bob.join(Tone(1000))
        await ann.hears(1000)
        await bob.hears(440)
        assert not ann.plays(440), "Ann hears herself"
        assert not bob.plays(1000), "Bob hears himself"
    finally:
        await ann.close()
        await bob.close()


async def who_says_nothing_hears_on(http):
    """A relay asks him, by a HEARTBEAT of SCTP, before the 5 s are over (decision 34)."""
    ann, bob = Player(http, "ann", "aiortc-quiet"), Player(http, "bob", "aiortc-quiet")
    try:
        await ann.join(Tone(440))
        await bob.join(Silence(0))
        async with asyncio.timeout(PATIENCE):
            for _ in range(16):
                await bob.hears(440)
                for ear in bob.ears:
                    # From nothing: half a second must come anew.
                    ear.samples = numpy.zeros(0)
    finally:
        await ann.close()
        await bob.close()


async def whip_publishes_into_the_room(http):
    listener, publisher = Player(http, "ann", "aiortc-whip"), Player(http, "obs", "aiortc-whip")
    try:
        await listener.join(Tone(440))
        session, headers = await publisher.publish_by_whip(700)
        await listener.hears(700)
        async with http.delete(session, headers=headers) as reply:
            assert reply.status == 204, await reply.text()
        await listener.told(lambda message: message["type"] == "roster" and message["left"])
    finally:
        await listener.close()
        await publisher.close()


async def main():
    tests = [
        two_players_hear_each_other,
        who_says_nothing_hears_on,
        whip_publishes_into_the_room,
    ]
    passed = failed = 0
    async with aiohttp.ClientSession() as http:
        for test in tests:
            name = test.__name__.replace("_", " ")
            try:
                await test(http)
                passed += 1
                print(f"ok: {name}", flush=True)
            except Exception:  # A test may fail in any way; the others still run.
                failed += 1
                traceback.print_exc()
                print(f"FAILED: {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
