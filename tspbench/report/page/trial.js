// One trial: what was asked, players with spectrograms, scores, words.
"use strict";

(function () {
  const { el, number, signed } = tsp;

  /** What is shown of a trial, and its player. `listen` is the page around it. */
  class Trial {
    constructor(model, place, listen) {
      Object.assign(this, { model, place, listen });
      this.id = model.trials.ids[place];
      this.root = el("article", { class: "trial", "aria-labelledby": "trial-h" });
      this.residual = false;
      this.levels = new Map();
      this.queries = [];
    }

    async show() {
      this.root.replaceChildren(this.heading(), el("p", { class: "soft", role: "status" }, "Loading…"));
      try {
        this.details = await this.model.details(this.place);
        if (this.model.playable.has(this.place)) await this.loadAudio();
      } catch (error) {
        if (this.closed) return;
        this.root.replaceChildren(this.heading(), el("p", { class: "note" }, `This trial cannot be shown: ${error.message}.`));
        return;
      }
      if (!this.closed) this.render();
    }

    async loadAudio() {
      const payload = await this.model.audio(this.place);
      this.problems = payload.problems;
      const signals = await tsp.player.decode(payload);
      if (this.closed) return;
      this.rate = payload.rate;
      this.queries = signals.filter((signal) => signal.kind === "query").map((signal) => ({ ...signal, url: tsp.player.wavUrl(signal.samples, this.rate) }));
      const mixture = signals.find((signal) => signal.kind === "mixture");
      this.tracks = signals.filter((signal) => signal.kind !== "query")
        .map((signal) => ({ ...signal, key: signal.kind === "estimate" ? `e:${signal.name}` : signal.kind }));
      if (mixture) this.tracks.push(...this.tracks.filter((track) => track.kind === "estimate").map((track) => residual(mixture, track)));
      if (!this.tracks.length) return;
      this.player = new tsp.player.Player(this.rate, () => this.update());
      this.player.loop = this.listen.loop;
      this.player.setTracks(this.tracks);
      this.listen.blind.shuffle(this.blindLabels());
    }

    blindLabels() {
      return this.tracks.filter((track) => track.kind === "estimate" && this.listen.inBlind(track.name)).map((track) => track.name);
    }

    get hasResiduals() {
      return this.tracks.some((track) => track.kind === "residual");
    }

    get hidden() {
      return this.listen.blind.on && !this.listen.blind.revealed;
    }

    heading() {
      const query = this.model.trials.queries[this.place];
      return el("header", {},
        el("div", { class: "bar trial-nav" },
          el("button", { onclick: () => this.listen.step(-1), "aria-label": "Previous trial", title: "Previous trial (↑)" }, "↑"),
          el("button", { onclick: () => this.listen.step(1), "aria-label": "Next trial", title: "Next trial (↓)" }, "↓"),
          el("h2", { id: "trial-h" }, query || this.id)),
        query ? el("p", { class: "mono soft small" }, this.id) : null);
    }

    render() {
      const parts = [this.heading(), this.asked()];
      (this.problems || []).forEach((problem) => parts.push(el("p", { class: "note" }, problem)));
      if (this.player) parts.push(this.transport(), this.rows());
      else parts.push(el("p", { class: "soft" }, this.model.playable.has(this.place) ? "No sound could be put into the report for this trial." : "This trial is in the report without audio (tspbench report --audio all puts in every trial)."));
      if (this.player && this.listen.blind.on) parts.push(tsp.blind.panel(this.listen.blind, this.id, (choice) => this.listen.vote(this.id, choice), () => this.render()));
      if (!this.hidden) parts.push(this.answers(), this.scores());
      parts.push(this.conditions());
      this.root.replaceChildren(...parts.filter(Boolean));
      this.drawAll();
      this.update();
    }

    // What was asked --------------------------------------------------------------------------------

    asked() {
      const { text, negative_text: negative, transcript, target_present: present } = this.details;
      const rows = [];
      if (text) rows.push(["Query", text]);
      if (negative) rows.push(["Not wanted", negative]);
      if (transcript && !text) rows.push(["Transcript", transcript]);
      if (present === false) rows.push(["Target", "absent: silence is the right answer"]);
      const list = rows.length ? el("dl", { class: "facts" }, rows.map(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])) : null;
      const audio = this.queries.map((signal) => el("div", { class: "query" }, el("span", {}, signal.name),
        el("audio", { controls: true, preload: "metadata", src: signal.url, "aria-label": signal.name, onplay: (event) => this.listen.only(event.target) })));
      return el("div", { class: "asked" }, list, el("div", { class: "queries" }, audio));
    }

    // Players ---------------------------------------------------------------------------------------

    transport() {
      this.button = el("button", { class: "primary play", onclick: () => this.toggle(), title: "Space" }, "Play");
      this.clock = el("span", { class: "num soft clock" });
      const loop = el("input", { type: "checkbox", checked: this.player.loop, onchange: (event) => { this.listen.loop = event.target.checked; this.player.setLoop(event.target.checked); } });
      const residuals = this.hasResiduals && !this.listen.blind.on;
      return el("div", { class: "bar transport" }, this.button, this.clock,
        el("label", { class: "check" }, loop, "Loop"),
        residuals ? el("button", { "aria-pressed": String(this.residual), id: "residuals", title: "R: what the system took away, mixture minus estimate", onclick: () => this.toggleResidual() }, "Residuals") : null,
        el("button", { "aria-pressed": String(this.listen.blind.on), id: "blind", disabled: this.blindLabels().length < 2 && !this.listen.blind.on, title: this.blindLabels().length < 2 ? "Needs the estimates of two systems" : "B", onclick: () => this.listen.toggleBlind() }, "Blind test"));
    }

    /** The tracks that can be chosen now, in the order of their keys 1, 2, 3… */
    visible() {
      const { blind } = this.listen;
      const fixed = this.tracks.filter((track) => track.kind === "mixture" || track.kind === "target");
      const kind = this.residual && this.hasResiduals && !blind.on ? "residual" : "estimate";
      const others = this.tracks.filter((track) => track.kind === kind);
      if (!blind.on) return [...fixed, ...others];
      return [...fixed, ...blind.order.map((label) => others.find((track) => track.name === label)).filter(Boolean)];
    }

    label(track) {
      if (track.kind === "mixture") return "Mixture";
      if (track.kind === "target") return "Target";
      const name = this.listen.blind.on ? this.listen.blind.letter(track.name) + (this.listen.blind.revealed ? ` = ${track.name}` : "") : track.name;
      return track.kind === "residual" ? `Mixture − ${name}` : name;
    }

    rows() {
      const tracks = this.visible();
      if (!tracks.some((track) => track.key === this.player.current)) this.player.select(tracks[0].key);
      this.rowByKey = new Map(tracks.map((track, i) => [track.key, this.row(track, i)]));
      return el("div", { class: "tracks", role: "group", "aria-label": "Signals; switching keeps the position" }, [...this.rowByKey.values()].map((row) => row.node));
    }

    row(track, i) {
      const hideThis = this.hidden && track.kind === "estimate";
      const button = el("button", { class: "signal", dataset: { key: track.key }, "aria-pressed": "false", onclick: () => this.choose(track.key) },
        el("kbd", {}, String(i + 1)), el("span", { class: "name" }, this.label(track)), hideThis ? null : this.annotation(track));
      const canvas = el("canvas", { "aria-hidden": "true" });
      const head = el("span", { class: "playhead" });
      const lane = el("div", { class: "lane", onclick: (event) => this.seekTo(event, lane, track.key) }, hideThis ? el("span", { class: "hidden-lane soft small" }, "hidden") : [canvas, ticks(this.rate)], head);
      return { node: el("div", { class: "track" }, button, lane), button, canvas: hideThis ? null : canvas, head, track };
    }

    annotation(track) {
      if (track.also?.length) return el("span", { class: "soft small" }, `also the answer of ${track.also.join(", ")}`);
      const gain = track.kind === "estimate" && track.gain !== 1 ? `${signed(20 * Math.log10(track.gain), 1)} dB` : null;
      const metric = this.listen.metric;
      const value = track.kind === "estimate" ? this.model.value(track.name, metric, this.place) : null;
      return el("span", { class: "soft small" }, value === null ? null : `${metric} ${number(value)}`, value !== null && gain ? " · " : null,
        gain ? el("span", { title: "gain that matches its level to the target" }, gain) : null);
    }

    seekTo(event, lane, key) {
      const box = lane.getBoundingClientRect();
      this.choose(key);
      this.player.seek(((event.clientX - box.left) / box.width) * this.player.duration);
    }

    choose(key) {
      this.player.select(key);
    }

    chooseNumber(n) {
      const track = this.player && this.visible()[n - 1];
      if (track) this.choose(track.key);
    }

    toggle() {
      if (!this.player) return;
      if (!this.player.playing) this.listen.only(null);
      this.player.toggle();
    }

    toggleResidual() {
      if (!this.player || !this.hasResiduals || this.listen.blind.on) return;
      const other = { e: "r", r: "e" }[this.player.current[0]];
      const twin = this.player.current[1] === ":" ? other + this.player.current.slice(1) : this.player.current;
      this.residual = !this.residual;
      this.player.select(twin);
      this.render();
      const button = this.root.querySelector("#residuals");
      if (button) button.focus({ preventScroll: true });
    }

    drawAll() {
      if (!this.player) return;
      const columns = Math.max(200, Math.min(900, this.root.clientWidth || 700));
      const mixture = this.levelsOf(this.tracks[0], columns);
      const top = d3.max(mixture);
      for (const { canvas, track } of this.rowByKey.values()) {
        if (canvas) tsp.spectrogram.draw(canvas, this.levelsOf(track, columns), columns, top);
      }
    }

    levelsOf(track, columns) {
      if (this.levels.get(track.key)?.columns !== columns) {
        this.levels.set(track.key, { columns, levels: tsp.spectrogram.compute(track.samples, this.rate, columns) });
      }
      return this.levels.get(track.key).levels;
    }

    update() {
      if (!this.player || !this.rowByKey || this.closed) return;
      this.button.textContent = this.player.playing ? "Pause" : "Play";
      this.clock.textContent = `${number(this.player.position, 1)} / ${number(this.player.duration, 1)} s`;
      const left = `${(100 * this.player.position) / this.player.duration}%`;
      for (const { button, head, track, node } of this.rowByKey.values()) {
        const chosen = track.key === this.player.current;
        button.setAttribute("aria-pressed", String(chosen));
        node.classList.toggle("chosen", chosen);
        head.style.left = left;
      }
      if (this.player.playing && !this.frame) this.frame = requestAnimationFrame(() => { this.frame = null; this.update(); });
    }

    // Scores, words, conditions ----------------------------------------------------------------------

    answers() {
      const spoken = Object.entries(this.details.systems).filter(([, system]) => system.text !== null && system.text !== undefined);
      if (!spoken.length) return null;
      return el("section", {}, el("h3", {}, "Words"),
        spoken.map(([label, system]) => el("div", { class: "answer" }, el("b", {}, label), tsp.words.answer(system))), tsp.words.legend(), this.othersSaid());
    }

    othersSaid() {
      const others = (this.details.sources || []).filter((source) => source.role !== "target" && source.transcript);
      return others.length ? el("p", { class: "small" }, el("span", { class: "soft" }, "Other talkers: "), others.map((source) => source.transcript).join(" / ")) : null;
    }

    scores() {
      const { model, details, place } = this;
      const metrics = model.metricsInUse();
      const labels = model.labels.filter((label) => details.systems[label]);
      const failures = labels.filter((label) => details.systems[label].error);
      return el("section", {}, el("h3", {}, "Scores of this trial"),
        failures.map((label) => el("p", { class: "note" }, `${label} ${details.systems[label].status.replace("_", " ")}: ${details.systems[label].error.filter(Boolean).join(": ")}`)),
        el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Scores of this trial" }, el("table", { class: "plain" },
          el("thead", {}, el("tr", {}, el("th", {}, "metric"), labels.map((label) => el("th", { class: "num" }, label)))),
          el("tbody", {}, metrics.map((metric) => el("tr", {}, el("td", { title: metric.summary }, metric.id, " ", el("span", { class: "soft small" }, metric.unit)),
            labels.map((label) => scoreCell(model.value(label, metric.id, place), details.systems[label], metric))))))));
    }

    conditions() {
      const rows = Object.entries(this.model.trials.conditions).map(([name, values]) => [name, values[this.place]]).filter(([, value]) => value !== null);
      const sources = (this.details.sources || []).map((source) => `${source.role}: ${[source.label, source.speaker].filter(Boolean).join(", ") || "–"}`);
      if (sources.length) rows.push(["sources", sources.join("; ")]);
      if (this.details.duration_s) rows.push(["length", `${number(this.details.duration_s, 2)} s`]);
      return el("details", { class: "conditions" }, el("summary", {}, "Conditions"), el("dl", { class: "facts" }, rows.map(([key, value]) => [el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, String(value))])));
    }

    close() {
      this.closed = true;
      if (this.frame) cancelAnimationFrame(this.frame);
      if (this.player) this.player.close();
      for (const audio of this.root.querySelectorAll("audio")) {
        audio.removeAttribute("src"); // or it would go on loading what is revoked below
        audio.load();
      }
      for (const query of this.queries) URL.revokeObjectURL(query.url);
    }
  }

  function scoreCell(value, system, metric) {
    if (value !== null) return el("td", { class: "num" }, number(value));
    const reason = system.reasons[metric.id] || "";
    return el("td", { class: "num soft", title: reason }, "–", reason ? el("span", { class: "sr-only" }, reason) : null);
  }

  /** Mixture minus the level-matched estimate: what the system took away. */
  function residual(mixture, estimate) {
    const samples = mixture.samples.map((value, i) => value - (estimate.samples[i] ?? 0));
    return { kind: "residual", name: estimate.name, key: `r:${estimate.name}`, samples };
  }

  function ticks(rate) {
    const marks = [500, 2000, 8000].filter((frequency) => frequency < rate / 2.2);
    return el("span", { class: "ticks", "aria-hidden": "true" }, marks.map((frequency) => el("i", { style: { top: `${100 * tsp.spectrogram.heightOf(frequency, rate)}%` } }, frequency < 1000 ? `${frequency} Hz` : `${frequency / 1000} kHz`)));
  }

  tsp.Trial = Trial;
})();
