// Plots of one metric, with Observable Plot. A click on a trial opens it.
"use strict";

(function () {
  const { el, number } = tsp;
  const WIDTH = 560;

  function width() {
    return Math.max(280, Math.min(WIDTH, document.documentElement.clientWidth - 48));
  }

  function figure(label, plot) {
    plot.setAttribute("aria-label", label);
    return el("figure", { class: "plot" }, plot);
  }

  function rows(model, metric, labels) {
    return labels.flatMap((label) => {
      const column = model.trials.values[label][metric] || [];
      return column.map((value, place) => ({ label, value, place })).filter((row) => row.value !== null);
    });
  }

  function axisTitle(model, metric) {
    const { id, unit } = model.metricById.get(metric);
    return unit ? `${id} (${unit})` : id;
  }

  function legend(model, labels) {
    return el("p", { class: "legend small" }, labels.map((label) => el("span", {}, el("i", { class: "swatch", style: { background: model.colour(label) } }), label)));
  }

  function colours(model, labels) {
    return { domain: labels, range: labels.map((label) => model.colour(label)) };
  }

  function distribution(model, metric, shape) {
    const labels = model.systemsWith(metric);
    const data = rows(model, metric, labels);
    if (!data.length) return el("p", { class: "soft" }, "No values.");
    return shape === "cumulative" ? cumulative(model, metric, labels, data) : histogram(model, metric, labels, data);
  }

  function histogram(model, metric, labels, data) {
    const flat = d3.min(data, (row) => row.value) === d3.max(data, (row) => row.value);
    const bars = labels.flatMap((label) => bins(label, data, flat));
    const means = labels.map((label) => ({ label, mean: model.summary[label][metric].mean })).filter((row) => row.mean !== null);
    const plot = Plot.plot({
      width: width(), height: 76 + 64 * labels.length, marginTop: 26, marginLeft: 12, marginRight: 12,
      x: { label: axisTitle(model, metric), nice: !flat }, y: { axis: null }, fy: { axis: null, domain: labels, padding: 0.24 },
      color: colours(model, labels),
      marks: [
        Plot.rectY(bars, { x1: "low", x2: "high", y: "share", fy: "label", fill: "label", fillOpacity: 0.8, insetLeft: 0.5, insetRight: 0.5, title: (bar) => `${bar.count} trials from ${number(bar.low)} to ${number(bar.high)}` }),
        Plot.ruleX(means, { x: "mean", fy: "label", strokeWidth: 2 }),
        Plot.ruleY(labels, { y: 0, fy: (label) => label, strokeOpacity: 0.3 }),
        Plot.text(labels, { fy: (label) => label, text: (label) => label, frameAnchor: "top-left", dy: -13, fontWeight: 600, clip: false }),
      ],
    });
    return figure(`Histograms of ${metric}, one for each of ${labels.join(", ")}; the black line is the mean`, plot);
  }

  /** Bins of one system, as high as its own fullest bin allows; all systems share their edges. */
  function bins(label, data, flat) {
    const [low, high] = d3.extent(data, (row) => row.value);
    const edges = flat ? [low - 0.5, low + 0.5] : d3.ticks(low, high, 30);
    const found = d3.bin().domain(flat ? edges : d3.nice(low, high, 30)).thresholds(edges)(data.filter((row) => row.label === label).map((row) => row.value));
    const most = d3.max(found, (bin) => bin.length);
    return found.filter((bin) => bin.length).map((bin) => ({ label, low: bin.x0, high: bin.x1, count: bin.length, share: bin.length / most }));
  }

  function cumulative(model, metric, labels, data) {
    const lines = labels.flatMap((label) => {
      const values = data.filter((row) => row.label === label).map((row) => row.value).sort(d3.ascending);
      return values.map((value, i) => ({ label, value, share: (i + 1) / values.length }));
    });
    const plot = Plot.plot({
      width: width(), height: 320, marginLeft: 44, grid: true,
      x: { label: axisTitle(model, metric) }, y: { label: "share of trials at or below", percent: true, domain: [0, 100] },
      color: colours(model, labels),
      marks: [Plot.ruleY([0]), Plot.line(lines, { x: "value", y: "share", stroke: "label", strokeWidth: 2, curve: "step-after" })],
    });
    return el("div", {}, legend(model, labels), figure(`Cumulative distribution of ${metric} of ${labels.join(", ")}`, plot));
  }

  function scatter(model, metric, x, y) {
    const data = model.trials.ids
      .map((id, place) => ({ id, place, x: model.value(x, metric, place), y: model.value(y, metric, place) }))
      .filter((row) => row.x !== null && row.y !== null);
    if (!data.length) return el("p", { class: "soft" }, "No trial has a value of both.");
    const all = data.flatMap((row) => [row.x, row.y]);
    const domain = d3.nice(d3.min(all), d3.max(all) === d3.min(all) ? d3.min(all) + 1 : d3.max(all), 8);
    const size = Math.min(width(), 420);
    const plot = Plot.plot({
      width: size, height: size, marginLeft: 48, marginBottom: 40, grid: true,
      x: { domain, label: `${x} →` }, y: { domain, label: `↑ ${y}` },
      marks: [
        Plot.link([domain], { x1: domain[0], y1: domain[0], x2: domain[1], y2: domain[1], strokeOpacity: 0.5, strokeDasharray: "4 4" }),
        Plot.dot(data, { x: "x", y: "y", r: data.length > 1500 ? 2 : 3.5, fill: model.colour(y), fillOpacity: data.length > 1500 ? 0.35 : 0.6, className: "points" }),
        Plot.tip(data, Plot.pointer({ x: "x", y: "y", title: (row) => pointText(model, row, x, y) })),
      ],
    });
    plot.classList.add("clickable");
    plot.addEventListener("click", () => { if (plot.value) location.hash = `trial=${encodeURIComponent(plot.value.id)}`; });
    return el("div", {}, figure(`${metric} of ${y} against ${x}, ${data.length} trials`, plot), wins(model, metric, data, x, y));
  }

  function pointText(model, row, x, y) {
    const query = model.trials.queries[row.place];
    const short = query.length > 60 ? `${query.slice(0, 57)}…` : query;
    return [row.id, short, `${x} ${number(row.x)}, ${y} ${number(row.y)}`].filter(Boolean).join("\n");
  }

  function wins(model, metric, data, x, y) {
    const sign = model.metricById.get(metric).higher_is_better ? 1 : -1;
    const better = data.filter((row) => sign * (row.y - row.x) > 0).length;
    const worse = data.filter((row) => sign * (row.y - row.x) < 0).length;
    return el("p", { class: "small soft" },
      `${y} is better on ${better} and worse on ${worse} of ${data.length} trials. Click a point to open its trial; `,
      el("a", { href: "#listen" }, "the list"), " has the same by keyboard.");
  }

  function strata(model, metric, labels, groups, cell) {
    const data = groups.flatMap((group) => labels.map((label, i) => ({ group, label, ...(cell(i, group) || {}) }))).filter((row) => typeof row.mean === "number");
    const spans = data.filter((row) => row.interval);
    const longest = d3.max(groups, (group) => group.length) || 1;
    const plot = Plot.plot({
      width: width(), height: 50 + Math.max(3, groups.length) * 24, marginLeft: Math.min(160, 16 + longest * 7), grid: true,
      x: { label: axisTitle(model, metric) }, y: { domain: groups, label: null, tickFormat: (group) => (group.length > 22 ? `${group.slice(0, 21)}…` : group).replace(/(^|to )-/g, "$1−") },
      color: colours(model, labels),
      marks: [
        Plot.link(spans, { x1: (row) => row.interval.low, x2: (row) => row.interval.high, y1: "group", y2: "group", stroke: "label", strokeWidth: 2, strokeOpacity: 0.5 }),
        Plot.dot(data, { x: "mean", y: "group", fill: "label", r: 5, title: (row) => `${row.label}: ${number(row.mean)} (${row.scored} trials)` }),
      ],
    });
    return el("div", {}, legend(model, labels), figure(`Mean ${metric} by condition`, plot));
  }

  tsp.plots = { distribution, scatter, strata };
})();
