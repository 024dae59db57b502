// Plays one of several signals of equal length; switching keeps the position to the sample.
"use strict";

(function () {
  const FADE_S = 0.008;
  const LEAD_S = 0.03;

  /** Decode a payload's signals, without resampling, to samples at the level at which they are heard. */
  async function decode(payload) {
    const context = new OfflineAudioContext(1, 1, payload.rate);
    return Promise.all(payload.signals.map(async (signal) => {
      const bytes = Uint8Array.from(atob(signal.flac), (character) => character.charCodeAt(0));
      const buffer = await context.decodeAudioData(bytes.buffer);
      const samples = buffer.getChannelData(0).map((value) => value * signal.scale);
      return { ...signal, flac: null, samples };
    }));
  }

  /** The address of a 16-bit WAV of some samples. (Media elements cannot seek in a FLAC of one frame.) */
  function wavUrl(samples, rate) {
    const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
    const text = (place, letters) => [...letters].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
    text(0, "RIFF");
    view.setUint32(4, 36 + 2 * samples.length, true);
    text(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);
    view.setUint16(22, 1, true);
    view.setUint32(24, rate, true);
    view.setUint32(28, 2 * rate, true);
    view.setUint16(32, 2, true);
    view.setUint16(34, 16, true);
    text(36, "data");
    view.setUint32(40, 2 * samples.length, true);
    samples.forEach((value, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
    return URL.createObjectURL(new Blob([view], { type: "audio/wav" }));
  }

  class Player {
    constructor(rate, onchange) {
      this.rate = rate;
      this.onchange = onchange;
      this.tracks = new Map();
      this.current = null;
      this.playing = false;
      this.loop = true;
      this.offset = 0;
      this.length = 0;
      this.region = null;
    }

    /** Tracks: [{key, samples}]; all are padded to the longest. Peaks above full scale turn all of them down alike. */
    setTracks(tracks) {
      this.length = Math.max(...tracks.map((track) => track.samples.length));
      const peak = tracks.reduce((most, track) => track.samples.reduce((high, value) => Math.max(high, Math.abs(value)), most), 0);
      this.headroom = peak > 1 ? 1 / peak : 1;
      for (const track of tracks) this.tracks.set(track.key, { samples: track.samples });
      this.current = tracks[0].key;
    }

    get duration() {
      return this.length / this.rate;
    }

    get position() {
      if (!this.playing) return this.offset;
      const since = Math.max(0, this.context.currentTime - this.startedAt);
      const at = this.offset + since;
      return this.loop ? at % this.duration : Math.min(at, this.duration);
    }

    async play() {
      if (this.playing || !this.length) return;
      this.context = this.context || new AudioContext({ sampleRate: this.rate });
      await this.context.resume();
      if (this.playing) return;
      if (!this.loop && this.offset >= this.duration - 0.01) this.offset = 0;
      this.startedAt = this.context.currentTime + LEAD_S;
      for (const [key, track] of this.tracks) this.start(key, track);
      this.playing = true;
      this.onchange();
    }

    start(key, track) {
      if (!track.buffer) {
        track.buffer = this.context.createBuffer(1, this.length, this.rate);
        track.buffer.copyToChannel(track.samples, 0);
        track.gain = this.context.createGain();
        track.gain.connect(this.context.destination);
      }
      track.gain.gain.cancelScheduledValues(0);
      track.gain.gain.value = key === this.current ? this.headroom : 0;
      track.source = this.context.createBufferSource();
      track.source.buffer = track.buffer;
      track.source.loop = this.loop;
      track.source.connect(track.gain);
      track.source.start(this.startedAt, this.offset);
      if (key === this.tracks.keys().next().value) {
        track.source.onended = (event) => { if (this.playing && event.target === track.source && !this.loop) this.pause(true); };
      }
    }

    pause(ended = false) {
      if (!this.playing) return;
      this.offset = ended ? 0 : this.position;
      this.playing = false;
      for (const track of this.tracks.values()) {
        track.source.onended = null;
        track.source.stop();
        track.source.disconnect();
        track.source = null;
      }
      this.onchange();
    }

    toggle() {
      return this.playing ? this.pause() : this.play();
    }

    /** Hear another track from the same moment on. */
    select(key) {
      if (!this.tracks.has(key)) return;
      this.current = key;
      if (this.playing) {
        const now = this.context.currentTime;
        for (const [other, track] of this.tracks) {
          track.gain.gain.cancelScheduledValues(now);
          track.gain.gain.setValueAtTime(track.gain.gain.value, now);
          track.gain.gain.linearRampToValueAtTime(other === key ? this.headroom : 0, now + FADE_S);
        }
      }
      this.onchange();
    }

    async seek(seconds) {
      const wasPlaying = this.playing;
      if (wasPlaying) this.pause();
      this.offset = Math.max(0, Math.min(seconds, this.duration - 1 / this.rate));
      if (wasPlaying) await this.play();
      this.onchange();
    }

    async setLoop(loop) {
      const wasPlaying = this.playing;
      if (wasPlaying) this.pause();
      this.loop = loop;
      if (wasPlaying) await this.play();
    }

    close() {
      this.pause();
      this.closed = true;
      if (this.context) this.context.close();
      this.tracks.clear();
    }
  }

  tsp.player = { decode, wavUrl, Player };
})();
