// The overview: summary table, strata, identities. Plots are in plots.js.
"use strict";

(function () {
  const { el, number, select } = tsp;

  function build(root, model) {
    const metrics = model.metricsInUse();
    if (!metrics.length) {
      root.append(el("p", { class: "note" }, "No metric applies to these runs."));
      return;
    }
    const state = { metric: metrics[0].id, x: null, y: null, condition: null, shape: "histogram" };
    root.append(summaryPanel(model, metrics));
    const panel = el("div");
    root.append(panel);
    const redraw = () => panel.replaceChildren(metricPanel(model, metrics, state, redraw));
    redraw();
    tsp.onTheme(redraw);
    root.append(identityPanel(model), metricsPanel(metrics));
  }

  // Summary --------------------------------------------------------------------------------------

  function summaryPanel(model, metrics) {
    const holder = el("div", { id: "summary-table" });
    const panel = el("section", { class: "panel", "aria-labelledby": "summary-h" },
      el("h2", { id: "summary-h" }, "Summary"),
      holder,
      el("p", { class: "soft small" },
        "Mean ± half of its 95 % interval (cluster bootstrap). The bar is the position between bounds: ",
        "empty at the unprocessed mixture, full at the best bound that was run on the same trials. ",
        "Systems marked “bound” know the target or do nothing."));
    const narrow = window.matchMedia("(max-width: 700px)").matches;
    const columns = [
      { title: "System", field: "label", frozen: true, width: narrow ? 128 : 250, formatter: (cell) => systemCell(model, cell.getValue()) },
      ...metrics.map((metric) => metricColumn(model, metric)),
      { title: "Trials", field: "trials", hozAlign: "right", minWidth: 90, headerSort: true, tooltip: "attempted of expected; failed" ,
        formatter: (cell) => trialsCell(model, cell.getRow().getData().label) },
    ];
    const data = model.systems.map(({ label }) => summaryRow(model, metrics, label));
    const table = new Tabulator(holder, {
      data, columns, layout: "fitDataFill", index: "label", headerSortTristate: true,
      columnDefaults: { headerSort: true, resizable: false }, movableColumns: false,
    });
    table.on("tableBuilt", () => table.redraw(true));
    tsp.summaryTable = table;
    return panel;
  }

  function summaryRow(model, metrics, label) {
    const row = { label, trials: model.systems.find((s) => s.label === label).counts.attempted ?? 0 };
    metrics.forEach((metric, i) => {
      const cell = model.summary[label][metric.id];
      row[`m${i}`] = cell && cell.applicable && cell.mean !== null ? cell.mean : null;
    });
    return row;
  }

  function metricColumn(model, metric) {
    const place = model.metricsInUse().indexOf(metric);
    return {
      title: metric.id, field: `m${place}`, hozAlign: "right", headerHozAlign: "right", minWidth: 124,
      sorter: "number", sorterParams: { alignEmptyValues: "bottom" },
      headerSortStartingDir: metric.higher_is_better ? "desc" : "asc",
      titleFormatter: () => el("span", { title: metric.summary }, metric.id, " ",
        el("span", { class: "soft" }, `${metric.unit} `, metric.higher_is_better ? "↑" : "↓")),
      formatter: (cell) => summaryCell(model, cell.getRow().getData().label, metric),
    };
  }

  function systemCell(model, label) {
    const system = model.systems.find((each) => each.label === label);
    return el("span", { class: "system-name" },
      el("span", { class: "whole" }, el("i", { class: "swatch", style: { background: model.colour(label) } }), el("b", {}, label)), " ",
      system.role === "bound" ? el("span", { class: "tag" }, "bound") : null,
      system.status !== "sealed" ? el("span", { class: "tag bad" }, system.status) : null,
      system.side_information && system.side_information.length
        ? el("span", { class: "tag", title: `is told: ${system.side_information.join(", ")}` }, "+ side information") : null);
  }

  function summaryCell(model, label, metric) {
    const cell = model.summary[label][metric.id];
    if (!cell || !cell.applicable) return el("span", { class: "soft" }, "–");
    if (cell.mean === null) return el("span", { class: "bad" }, `none (0 of ${cell.applicable})`);
    const half = cell.interval ? (cell.interval.high - cell.interval.low) / 2 : null;
    const position = cell.bounds && cell.bounds.position;
    return el("div", { title: cellTitle(cell) },
      el("b", {}, number(cell.mean)), half === null ? null : el("span", { class: "soft" }, ` ±${number(half)}`),
      cell.scored < cell.applicable
        ? el("div", { class: "bad small" }, `${cell.scored} of ${cell.applicable}; penalised ${number(cell.penalised_mean)}`) : null,
      position ? positionBar(position) : null);
  }

  function positionBar(position) {
    const percent = Math.round(100 * position.value);
    const width = Math.max(0, Math.min(100, percent));
    const words = `${percent} % of the way from ${position.lower} to ${position.upper.replace(/@.*/, "")}`;
    return el("div", { class: "position", role: "img", "aria-label": words, title: words },
      el("span", { style: { width: `${width}%` } }));
  }

  function cellTitle(cell) {
    const bounds = Object.entries((cell.bounds && cell.bounds.rows) || {})
      .map(([name, value]) => `${name.replace("upper:", "").replace(/@.*/, "")} ${number(value)}`);
    const interval = cell.interval
      ? `95 % interval ${number(cell.interval.low)} to ${number(cell.interval.high)}, ${cell.interval.clusters} clusters` : "";
    return [interval, `median ${number(cell.median)}, worst 5 % at ${number(cell.p5)}`,
      `${cell.scored} scored of ${cell.applicable} applicable, ${cell.attempted} attempted`,
      bounds.length ? `on the same trials: ${bounds.join(", ")}` : ""].filter(Boolean).join("\n");
  }

  function trialsCell(model, label) {
    const { counts } = model.systems.find((system) => system.label === label);
    const failed = (counts.failed || 0) + (counts.timed_out || 0);
    return el("span", {}, `${counts.attempted ?? "–"}/${counts.expected ?? "–"}`,
      failed ? el("div", { class: "bad small" }, `${failed} failed`) : null);
  }

  // One metric: distribution, scatter, strata ----------------------------------------------------

  function metricPanel(model, metrics, state, redraw) {
    const set = (name) => (value) => { state[name] = value; redraw(); focusField(name); };
    const systems = model.systemsWith(state.metric);
    const options = metrics.map((metric) => [metric.id, `${metric.id}${metric.unit ? ` (${metric.unit})` : ""}`]);
    const valued = systems.filter((label) => model.summary[label][state.metric].mean !== null);
    if (!valued.includes(state.y)) state.y = valued.find((label) => !model.isBound(label)) || valued[0];
    if (!valued.includes(state.x) || state.x === state.y) state.x = valued.filter((label) => label !== state.y).pop();
    const field = (name, label, values) => {
      const node = select(label, values, state[name], set(name));
      node.querySelector("select").dataset.field = name;
      return node;
    };
    return el("section", { class: "panel", "aria-labelledby": "metric-h" },
      el("h2", { id: "metric-h" }, "One metric, trial by trial"),
      el("div", { class: "bar" }, field("metric", "Metric", options)),
      el("p", { class: "soft small" }, `${model.metricById.get(state.metric).summary}. ${model.metricById.get(state.metric).higher_is_better ? "Higher" : "Lower"} is better.`),
      el("div", { class: "columns" },
        el("div", {}, el("h3", {}, "Distribution"),
          el("div", { class: "bar" }, field("shape", "Shown as", [["histogram", "histogram"], ["cumulative", "share of trials below"]])),
          tsp.plots.distribution(model, state.metric, state.shape)),
        valued.length > 1 ? el("div", {}, el("h3", {}, "Two systems, trial by trial"),
          el("div", { class: "bar" }, field("x", "Across", valued), field("y", "Up", valued)),
          tsp.plots.scatter(model, state.metric, state.x, state.y)) : null),
      strata(model, state, field));
  }

  function focusField(name) {
    const input = document.querySelector(`[data-field="${name}"]`);
    if (input) input.focus({ preventScroll: true });
  }

  function strata(model, state, field) {
    const systems = model.systemsWith(state.metric);
    const found = systems.map((label) => model.summary[label][state.metric].strata || {});
    const names = [...new Set(found.flatMap((each) => Object.keys(each)))].sort();
    if (!names.length) return null;
    if (!names.includes(state.condition)) state.condition = names.includes("snr_db") ? "snr_db" : names[0];
    const groups = [...new Set(found.flatMap((each) => Object.keys(each[state.condition] || {})))].sort(byLowEnd);
    const cell = (i, group) => (found[i][state.condition] || {})[group];
    return el("div", {}, el("h3", {}, "By condition"),
      el("div", { class: "bar" }, field("condition", "Condition", names)),
      el("div", { class: "columns" },
        tsp.plots.strata(model, state.metric, systems, groups, cell),
        el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Means by condition" },
          el("table", { class: "plain strata" },
            el("thead", {}, el("tr", {}, el("th", {}, state.condition), systems.map((label) => el("th", { class: "num" }, label)), el("th", { class: "num" }, "trials"))),
            el("tbody", {}, groups.map((group) => el("tr", {}, el("td", {}, group.replace(/(^|to )-/g, "$1−")),
              systems.map((_, i) => el("td", { class: "num" }, number(cell(i, group)?.mean),
                cell(i, group) && cell(i, group).scored < cell(i, group).applicable ? el("span", { class: "bad small" }, ` (${cell(i, group).scored})`) : null)),
              el("td", { class: "num soft" }, String(Math.max(0, ...systems.map((_, i) => cell(i, group)?.applicable ?? 0)))))))))));
  }

  /** Bands such as "-1.77 to 0.353" in the order of their lower ends, others by name. */
  function byLowEnd(a, b) {
    const [x, y] = [parseFloat(a), parseFloat(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  }

  // Identities -----------------------------------------------------------------------------------

  function identityPanel(model) {
    return el("section", { class: "panel", "aria-labelledby": "identity-h" },
      el("h2", { id: "identity-h" }, "What was run"),
      el("details", {}, el("summary", {}, `Task ${model.task.name}`), facts(model.task)),
      model.systems.map((system) => el("details", {}, el("summary", {}, system.label), facts({
        run: system.run_id, began: system.created, status: system.status, role: system.role,
        ...system.identity.system, ...prefixed("protocol", system.identity.protocol),
        aligned: system.aligned, side_information: system.side_information,
        ...prefixed("tspbench", system.code), hardware: system.hardware, environment: system.environment,
        counts: system.counts, wall_time_s: system.wall_time_s,
      }))));
  }

  function metricsPanel(metrics) {
    return el("section", { class: "panel", "aria-labelledby": "definitions-h" },
      el("h2", { id: "definitions-h" }, "What the metrics are"),
      metrics.map((metric) => el("details", {}, el("summary", {}, metric.id), facts(metric))));
  }

  function prefixed(name, object) {
    return Object.fromEntries(Object.entries(object || {}).map(([key, value]) => [`${name}: ${key}`, value]));
  }

  function facts(object) {
    const shown = Object.entries(object).filter(([, value]) => value !== null && value !== "" && !emptyObject(value));
    return el("dl", { class: "facts" }, shown.map(([key, value]) => [el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, plain(value))]));
  }

  function emptyObject(value) {
    return typeof value === "object" && value !== null && !Object.keys(value).length;
  }

  function plain(value) {
    if (Array.isArray(value)) return value.map(plain).join(", ");
    if (typeof value === "object" && value !== null) {
      return Object.entries(value).filter(([, item]) => item !== null && !emptyObject(item)).map(([key, item]) => `${key}: ${plain(item)}`).join("; ");
    }
    return String(value);
  }

  tsp.overview = { build };
})();
