// The listening page: a list of trials that can be ordered, searched and filtered, and one open trial.
"use strict";

(function () {
  const { el, number, select } = tsp;

  class Listen {
    constructor(root, model) {
      Object.assign(this, { root, model });
      this.metric = (model.metricsInUse()[0] || model.metrics[0]).id;
      this.order = "worst";
      this.of = "any";
      this.text = "";
      this.filters = new Map();
      this.onlyAudio = false;
      this.loop = true;
      this.blind = new tsp.blind.Blind(model);
      this.pane = el("div", { id: "trial-pane" });
      this.count = el("p", { class: "soft small", role: "status", id: "shown-count" });
      this.holder = el("div", { id: "trial-table" });
      this.controls = el("div");
      root.append(el("div", { class: "split" },
        el("section", { class: "panel list", "aria-label": "Trials" }, this.controls, this.count, this.holder, help()),
        el("section", { class: "panel detail", "aria-label": "Open trial" }, this.pane)));
      this.drawControls();
      this.makeTable();
      document.addEventListener("keydown", (event) => this.key(event));
    }

    // Which trials, in which order ------------------------------------------------------------------

    drawControls() {
      const { model } = this;
      const set = (name) => (value) => { this[name] = value; if (name === "metric") this.rebuild(); else this.refresh(); };
      const search = el("input", { type: "search", placeholder: "query, words, trial id", value: this.text, oninput: (event) => { this.text = event.target.value; this.refresh(); } });
      const audio = el("input", { type: "checkbox", checked: this.onlyAudio, onchange: (event) => { this.onlyAudio = event.target.checked; this.refresh(); } });
      const groups = Object.keys(model.trials.conditions).map((name) => [name, model.groups(name)]).filter(([, found]) => found);
      this.controls.replaceChildren(
        el("div", { class: "bar" },
          select("Metric", model.metricsInUse().map((metric) => metric.id), this.metric, set("metric")),
          select("Order", [["worst", "worst first"], ["best", "best first"], ["difference", "largest difference first"], ["list", "as listed"]], this.order, set("order")),
          select("Of", [["any", "any system"], ...model.systemsWith(this.metric)], this.of, set("of")),
          el("label", { class: "field grow" }, el("span", {}, "Search"), search)),
        el("div", { class: "bar" }, el("label", { class: "check" }, audio, `With audio (${model.playable.size})`)),
        groups.length ? el("details", { class: "filters", open: this.filters.size > 0 }, el("summary", {}, "Filter by condition"),
          el("div", { class: "bar" }, groups.map(([name, found]) => this.filter(name, found)))) : "");
    }

    filter(name, found) {
      const options = [["", "all"], ...found.map((group, i) => [i, group.text])];
      return select(name.replaceAll("_", " "), options, this.filters.get(name)?.index ?? "", (value) => {
        if (value === "") this.filters.delete(name);
        else this.filters.set(name, { index: Number(value), test: found[Number(value)].test });
        this.refresh();
      });
    }

    places() {
      const { model } = this;
      const wanted = this.text.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const passes = (place) => {
        if (this.onlyAudio && !model.playable.has(place)) return false;
        for (const [name, { test }] of this.filters) if (!test(model.trials.conditions[name][place])) return false;
        const text = `${model.trials.ids[place]} ${model.trials.queries[place]}`.toLowerCase();
        return wanted.every((word) => text.includes(word));
      };
      return this.sorted(d3.range(model.count).filter(passes));
    }

    sorted(places) {
      const { model, metric, order } = this;
      if (order === "list") return places;
      const labels = this.of === "any" ? this.compared() : [this.of];
      if (order === "difference") {
        const difference = new Map(places.map((place) => [place, model.spread(this.compared(), metric, place) ?? -1]));
        return places.sort((a, b) => difference.get(b) - difference.get(a) || a - b);
      }
      const quality = new Map(places.map((place) => [place, this.quality(labels, place)]));
      const sign = order === "worst" ? 1 : -1;
      const applies = (place) => quality.get(place) !== null;
      return places.sort((a, b) => applies(b) - applies(a) || sign * compare(quality.get(a), quality.get(b)) || a - b);
    }

    /** The systems that "any system" and "difference" speak of: bounds only where there is nothing else. */
    compared() {
      const systems = this.model.systemsWith(this.metric);
      const ranked = systems.filter((label) => !this.model.isBound(label));
      return this.order === "difference" && ranked.length < 2 ? systems : ranked.length ? ranked : systems;
    }

    quality(labels, place) {
      const values = labels.map((label) => this.model.quality(label, this.metric, place)).filter((value) => value !== null);
      if (!values.length) return null;
      return this.order === "best" ? Math.max(...values) : Math.min(...values);
    }

    // The list --------------------------------------------------------------------------------------

    makeTable() {
      if (this.table) this.table.destroy();
      const { model } = this;
      const labels = model.systemsWith(this.metric);
      const narrow = window.matchMedia("(max-width: 700px)").matches;
      const shown = narrow ? labels.slice(0, 2) : labels;
      this.table = new Tabulator(this.holder, {
        data: this.rows(), index: "place", height: narrow ? "264px" : "62vh", layout: "fitColumns", placeholder: "No trial matches.",
        columnDefaults: { headerSort: true, resizable: false }, selectableRows: false, headerSortTristate: true, keybindings: false,
        rowFormatter: (row) => this.markRow(row),
        columns: [
          { title: "Trial", field: "name", minWidth: 110, widthGrow: 3, formatter: (cell) => this.nameCell(cell.getRow().getData()) },
          ...shown.map((label) => ({
            title: label, field: `v${labels.indexOf(label)}`, width: narrow ? 74 : 86, hozAlign: "right", headerHozAlign: "right", sorter: "number",
            sorterParams: { alignEmptyValues: "bottom" }, titleFormatter: () => el("span", { title: label }, label),
            formatter: (cell) => el("span", { class: "num" }, number(cell.getValue())),
          })),
        ],
      });
      this.table.on("rowClick", (event, row) => this.go(row.getData().place));
      this.table.on("tableBuilt", () => { this.built = true; this.tell(); });
      this.table.on("dataSorted", () => this.tell());
    }

    rows() {
      const { model } = this;
      const labels = model.systemsWith(this.metric);
      this.current = this.places();
      return this.current.map((place) => {
        const row = { place, name: model.trials.queries[place] || model.trials.ids[place] };
        labels.forEach((label, i) => { row[`v${i}`] = model.value(label, this.metric, place); });
        return row;
      });
    }

    nameCell({ place }) {
      const { model } = this;
      const query = model.trials.queries[place], id = model.trials.ids[place];
      const failed = model.labels.some((label) => ["failed", "timed_out"].includes(model.trials.status[label][place]));
      return el("a", { href: `#trial=${encodeURIComponent(id)}`, class: "trial-link", tabindex: "-1" },
        model.playable.has(place) ? el("span", { class: "audio-mark", title: "with audio" }, "♪ ") : null, query || id,
        failed ? el("span", { class: "tag bad" }, "failed") : null, query ? el("span", { class: "soft small id" }, id) : null);
    }

    markRow(row) {
      row.getElement().classList.toggle("chosen", Boolean(this.trial) && row.getData().place === this.trial.place);
    }

    async refresh() {
      if (!this.built) return;
      this.table.clearSort();
      await this.table.replaceData(this.rows());
      this.tell();
    }

    rebuild() {
      if (this.of !== "any" && !this.model.has(this.of, this.metric)) this.of = "any";
      this.built = false;
      this.drawControls();
      this.makeTable();
      if (this.trial && this.trial.details) this.trial.render();
    }

    tell() {
      const all = this.model.count, some = this.current.length;
      this.count.textContent = some === all ? `${all} trials` : `${some} of ${all} trials`;
    }

    // The open trial --------------------------------------------------------------------------------

    /** The places of the list as it stands, sorting by header included. */
    listed() {
      return this.built ? this.table.getData("active").map((row) => row.place) : this.current;
    }

    go(place) {
      location.hash = `trial=${encodeURIComponent(this.model.trials.ids[place])}`;
      this.open(place); // at once: the event of the address comes later than a second key press may
    }

    async open(place) {
      if (this.trial && this.trial.place === place) return;
      const before = this.trial;
      if (before) before.close();
      this.trial = new tsp.Trial(this.model, place, this);
      if (before) this.trial.residual = before.residual;
      this.pane.replaceChildren(this.trial.root);
      if (this.built) {
        for (const row of this.table.getRows("visible")) this.markRow(row);
        const row = this.table.getRow(place);
        if (row) { row.reformat(); this.table.scrollToRow(row, "nearest", false).catch(() => {}); }
      }
      await this.trial.show();
    }

    step(by) {
      const list = this.listed();
      if (!list.length) return;
      const at = this.trial ? list.indexOf(this.trial.place) : -1;
      const next = at < 0 ? 0 : at + by;
      if (next >= 0 && next < list.length) this.go(list[next]);
    }

    /** Only one thing sounds at a time: a query's player, or the trial's. */
    only(element) {
      for (const other of this.pane.querySelectorAll("audio")) if (other !== element) other.pause();
      if (element && this.trial && this.trial.player) this.trial.player.pause();
    }

    // Blind test ------------------------------------------------------------------------------------

    inBlind(label) {
      const systems = this.model.systems.filter((system) => system.role !== "bound").map((system) => system.label);
      return systems.length > 1 ? systems.includes(label) : true;
    }

    toggleBlind() {
      this.blind.on = !this.blind.on;
      this.blind.revealed = false;
      this.root.classList.toggle("is-blind", this.blind.on);
      if (this.trial && this.trial.player) {
        this.trial.residual = false;
        this.blind.shuffle(this.trial.blindLabels());
        this.trial.player.select("mixture");
        this.trial.render();
        this.trial.root.querySelector("#blind").focus({ preventScroll: true });
      }
    }

    vote(trialId, choice) {
      this.blind.vote(trialId, choice);
      const list = this.listed().filter((place) => this.model.playable.has(place));
      const next = list[list.indexOf(this.trial.place) + 1];
      if (next === undefined) this.trial.render();
      else this.go(next);
    }

    // Keyboard --------------------------------------------------------------------------------------

    key(event) {
      if (this.root.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target;
      if (target.closest("input, select, textarea, audio, summary")) return;
      if (event.key === " " && target.closest("button:not(.signal):not(.play), a")) return;
      const trial = this.trial;
      const actions = {
        " ": () => trial && trial.toggle(),
        ArrowLeft: () => trial && trial.player && trial.player.seek(trial.player.position - 1),
        ArrowRight: () => trial && trial.player && trial.player.seek(trial.player.position + 1),
        ArrowUp: () => this.step(-1),
        ArrowDown: () => this.step(1),
        r: () => trial && trial.toggleResidual(),
        b: () => trial && trial.player && (this.blind.on || trial.blindLabels().length > 1) && this.toggleBlind(),
        "/": () => this.root.querySelector("input[type=search]").focus(),
      };
      const action = /^[1-9]$/.test(event.key) ? () => trial && trial.chooseNumber(Number(event.key)) : actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    }
  }

  function compare(a, b) {
    return a === b ? 0 : a < b ? -1 : 1;
  }

  function help() {
    const keys = [["1–9", "switch signal"], ["Space", "play, pause"], ["← →", "one second"], ["↑ ↓", "trial"], ["R", "residuals"], ["B", "blind test"], ["/", "search"]];
    return el("p", { class: "soft small keys" }, keys.map(([key, what]) => el("span", {}, el("kbd", {}, key), ` ${what}`)));
  }

  tsp.Listen = Listen;
})();
