// Spectrograms on canvas: mel frequency axis, one colour scale for all signals of a trial.
"use strict";

(function () {
  const RANGE_DB = 75;
  const ROWS = 96;
  const WINDOW_S = 0.032;

  const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
  const hertz = (mels) => 700 * (10 ** (mels / 2595) - 1);

  /** In-place radix-2 FFT of length 2^n; twiddles are made once per length. */
  const twiddles = new Map();
  function fft(re, im) {
    const n = re.length;
    if (!twiddles.has(n)) {
      twiddles.set(n, {
        cos: Float64Array.from({ length: n / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / n)),
        sin: Float64Array.from({ length: n / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / n)),
      });
    }
    const { cos, sin } = twiddles.get(n);
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
    }
    for (let size = 2; size <= n; size <<= 1) {
      const half = size >> 1, step = n / size;
      for (let start = 0; start < n; start += size) {
        for (let k = 0; k < half; k++) {
          const a = start + k, b = a + half, c = cos[k * step], s = -sin[k * step];
          const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
          re[b] = re[a] - x; im[b] = im[a] - y; re[a] += x; im[a] += y;
        }
      }
    }
  }

  /** Power in dB: `columns` moments by ROWS mel bands, lowest band first; 0 dB is a full-scale sine. */
  function compute(samples, rate, columns) {
    const size = 2 ** Math.ceil(Math.log2(WINDOW_S * rate));
    const window_ = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / size));
    const edges = Array.from({ length: ROWS + 1 }, (_, i) => (hertz((i * mel(rate / 2)) / ROWS) * size) / rate);
    const levels = new Float32Array(columns * ROWS);
    const re = new Float64Array(size), im = new Float64Array(size), power = new Float64Array(size / 2 + 1);
    for (let column = 0; column < columns; column++) {
      const start = Math.round(((column + 0.5) * samples.length) / columns - size / 2);
      for (let i = 0; i < size; i++) {
        const place = start + i;
        re[i] = place >= 0 && place < samples.length ? samples[place] * window_[i] : 0;
      }
      im.fill(0);
      fft(re, im);
      for (let i = 0; i <= size / 2; i++) power[i] = ((re[i] ** 2 + im[i] ** 2) * 16) / size ** 2;
      for (let row = 0; row < ROWS; row++) {
        levels[column * ROWS + row] = 10 * Math.log10(loudest(power, edges[row], edges[row + 1]) + 1e-12);
      }
    }
    return levels;
  }

  function loudest(power, low, high) {
    let most = 0;
    for (let i = Math.floor(low); i <= Math.min(power.length - 1, Math.max(Math.floor(low), Math.ceil(high) - 1)); i++) most = Math.max(most, power[i]);
    return most;
  }

  const palette = d3.range(256).map((i) => { const { r, g, b } = d3.rgb(d3.interpolateMagma(i / 255)); return [r, g, b]; });

  /** Draw levels; `top` (dB) is the brightest colour. */
  function draw(canvas, levels, columns, top) {
    canvas.width = columns;
    canvas.height = ROWS;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, ROWS);
    for (let column = 0; column < columns; column++) {
      for (let row = 0; row < ROWS; row++) {
        const part = (levels[column * ROWS + row] - top + RANGE_DB) / RANGE_DB;
        const [r, g, b] = palette[Math.max(0, Math.min(255, Math.round(part * 255)))];
        const place = 4 * ((ROWS - 1 - row) * columns + column);
        image.data[place] = r; image.data[place + 1] = g; image.data[place + 2] = b; image.data[place + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
  }

  /** Where a frequency lies, as a part of the height from the top. */
  function heightOf(frequency, rate) {
    return 1 - mel(frequency) / mel(rate / 2);
  }

  tsp.spectrogram = { compute, draw, heightOf, ROWS, RANGE_DB };
})();
