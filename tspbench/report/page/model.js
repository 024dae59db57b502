// The report's data and questions about it: values, orders, bands of conditions.
"use strict";

(function () {
  const UNDEFINED = -Infinity; // worse than any value

  class Model {
    constructor(report) {
      Object.assign(this, report);
      this.count = this.trials.ids.length;
      this.labels = this.systems.map((system) => system.label);
      this.ranked = this.systems.filter((system) => system.role !== "bound").map((system) => system.label);
      if (!this.ranked.length) this.ranked = this.labels;
      this.metricById = new Map(this.metrics.map((metric) => [metric.id, metric]));
      this.lostSets = new Map();
      this.playable = new Set(this.trials.playable);
      this.placeById = new Map(this.trials.ids.map((id, place) => [id, place]));
    }

    colour(label) {
      return tsp.colour(this.labels.indexOf(label));
    }

    isBound(label) {
      return this.systems.find((system) => system.label === label).role === "bound";
    }

    value(label, metric, place) {
      const column = this.trials.values[label][metric];
      return column ? column[place] : null;
    }

    /** Is a score undefined or failed? */
    isLost(label, metric, place) {
      const key = `${metric} ${label}`;
      if (!this.lostSets.has(key)) this.lostSets.set(key, new Set(this.trials.lost[label][metric]));
      return this.lostSets.get(key).has(place);
    }

    /** Larger is better, whatever the metric; null where the metric does not apply. */
    quality(label, metric, place) {
      if (this.isLost(label, metric, place)) return UNDEFINED;
      const value = this.value(label, metric, place);
      if (value === null) return null;
      return this.metricById.get(metric).higher_is_better ? value : -value;
    }

    /** Does a metric say anything about a system? */
    has(label, metric) {
      const column = this.summary[label][metric];
      return Boolean(column && column.applicable);
    }

    metricsInUse() {
      return this.metrics.filter((metric) => this.labels.some((label) => this.has(label, metric.id)));
    }

    systemsWith(metric) {
      return this.labels.filter((label) => this.has(label, metric));
    }

    /** Largest minus smallest value over some systems; null with fewer than two values. */
    spread(labels, metric, place) {
      const values = labels.map((label) => this.value(label, metric, place)).filter((value) => value !== null);
      return values.length < 2 ? null : Math.max(...values) - Math.min(...values);
    }

    /** "si_sdr (dB), higher is better" */
    describe(metric) {
      const { id, unit, higher_is_better: higher } = this.metricById.get(metric);
      return `${id}${unit ? ` (${unit})` : ""}, ${higher ? "higher" : "lower"} is better`;
    }

    /** How one condition is offered for filtering: groups with a test each, or null when it tells nothing. */
    groups(name) {
      const values = this.trials.conditions[name];
      const distinct = [...new Set(values)];
      const numbers = distinct.filter((value) => typeof value === "number").sort(d3.ascending);
      if (distinct.length < 2) return null;
      if (numbers.length > 8) return this.bands(values, numbers, distinct.includes(null));
      if (distinct.length > 60) return null;
      return distinct
        .sort((a, b) => d3.ascending(a, b) || d3.ascending(String(a), String(b)))
        .map((value) => ({ text: value === null ? "not stated" : String(value), test: (other) => other === value }));
    }

    bands(values, numbers, withNull) {
      const stated = values.filter((value) => typeof value === "number").sort(d3.ascending);
      const edges = [0, 1 / 3, 2 / 3, 1].map((part) => d3.quantileSorted(stated, part));
      const show = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");
      const bands = d3.pairs(edges).map(([low, high], i) => ({
        text: `${show(low)} to ${show(high)}`,
        test: (value) => typeof value === "number" && (i === 0 || value >= low) && (i === 2 || value < high),
      }));
      return withNull ? [...bands, { text: "not stated", test: (value) => value === null }] : bands;
    }

    /** The details of a trial; a promise. */
    async details(place) {
      const page = Math.floor(place / this.per_page);
      const name = `trials-${String(page).padStart(4, "0")}`;
      const rows = await tsp.load(`data/${name}.js`, name);
      return rows[place - page * this.per_page];
    }

    /** The audio payload of a trial; a promise. Only the last few stay in memory. */
    async audio(place) {
      const name = `audio-${String(place).padStart(6, "0")}`;
      const payload = await tsp.load(`audio/${name}.js`, name);
      this.recent = [...(this.recent || []).filter((other) => other !== name), name];
      while (this.recent.length > 6) tsp.forget(this.recent.shift());
      return payload;
    }
  }

  tsp.Model = Model;
  tsp.UNDEFINED = UNDEFINED;
})();
