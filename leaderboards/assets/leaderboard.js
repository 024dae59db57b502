// The leaderboard page. Every text from a result is set as text: nodes are built, HTML is never parsed.
"use strict";

(function () {
  const { el, select, number, colour } = tsp;
  const tables = tsp.data("tables");
  const reported = tsp.data("reported");
  const WARNINGS = new Set(["side information", "train/test overlap", "no card", "dirty", "failed trials"]);
  const COSTS = {
    latency_p50_s: ["latency, batch 1, median", "s"],
    peak_cpu_bytes: ["peak memory, CPU", "bytes"],
    peak_gpu_driver_bytes: ["peak memory, GPU", "bytes"],
    parameters: ["parameters", ""],
  };
  const state = { table: 0, metric: null, cost: "latency_p50_s", hardware: null, condition: null, hide: new Set(), search: "" };
  let grid = null;

  // Small parts ------------------------------------------------------------------------------------

  const isBound = (row) => row.role === "bound";
  const arrow = (column) => (column.higher_is_better ? "↑" : "↓");
  const cellOf = (row, column) => row.cells[column.key] || null;
  const digits = (value) => (Math.abs(value) < 1 && value !== 0 ? 3 : 2);
  const shown = (value) => (value === null || value === undefined ? "–" : number(value, digits(value)));

  function amount(value, unit) {
    if (value === null || value === undefined) return "–";
    if (unit === "bytes") return value >= 1e9 ? `${number(value / 1e9, 2)} GB` : `${number(value / 1e6, 0)} MB`;
    if (unit === "s") return value < 1 ? `${number(value * 1e3, value < 0.01 ? 1 : 0)} ms` : `${number(value, 2)} s`;
    return value >= 1e6 ? `${number(value / 1e6, 2)} M` : value.toLocaleString("en");
  }

  /** One chip for each kind of flag. */
  function chips(flags) {
    return [...new Set(flags.map((flag) => flag.kind))].map((kind) => el("span", { class: `chip${WARNINGS.has(kind) ? " warn" : ""}` }, kind));
  }

  function title(lines) {
    return () => el("div", {}, el("span", {}, lines[0]), lines[1] ? el("span", { class: "column-unit" }, lines[1]) : null);
  }

  function valueNode(cell) {
    if (!cell) return el("span", { class: "soft" }, "–");
    const node = el("span", { class: "value" }, shown(cell.penalised_mean));
    if (cell.low !== null) node.append(el("span", { class: "interval" }, `[${shown(cell.low)}, ${shown(cell.high)}]`));
    if (cell.scored < cell.applicable) node.append(el("span", { class: "short" }, `${cell.scored}/${cell.applicable}`));
    return node;
  }

  function cellTip(row, column, cell) {
    if (!cell) return `${row.label}: ${column.key} does not apply`;
    const lines = [`${row.label} · ${column.key} (version ${column.version})`, `penalised mean ${shown(cell.penalised_mean)} ${column.unit}`,
      `mean ${shown(cell.mean)}, 95 % interval ${shown(cell.low)} to ${shown(cell.high)}`,
      `${cell.scored} scored of ${cell.applicable} applicable, ${cell.attempted} attempted`];
    if (cell.position !== undefined) lines.push(`position between mixture (0) and the tightest bound (1): ${shown(cell.position)}`);
    return lines.join("\n");
  }

  const tip = (text) => el("div", { style: { whiteSpace: "pre-line" } }, text);

  // Measured here ----------------------------------------------------------------------------------

  function drawMeasured() {
    const home = document.getElementById("measured");
    home.replaceChildren();
    if (!tables.length) {
      home.append(el("p", {}, "Nothing has been measured here yet: tspbench leaderboard add RUN, then tspbench leaderboard build."));
      return;
    }
    const table = tables[state.table];
    if (!table.columns.some((column) => column.key === state.metric)) state.metric = table.columns.length ? table.columns[0].key : null;
    const column = table.columns.find((one) => one.key === state.metric);
    home.append(controls(table), facts(table), el("div", { id: "grid" }), identity(table));
    home.append(el("div", { class: "bar" }, metricPicker(table)));
    home.append(el("div", { class: "plots" }, panel("Scores with 95 % intervals", "intervals"), panel("Quality against cost", "cost"), panel("By condition", "strata", "wide")));
    drawGrid(table);
    if (column) drawPlots(table, column);
  }

  function panel(heading, id, kind = "") {
    return el("div", { class: `panel ${kind}` }, el("h2", {}, heading), el("div", { class: "bar", id: `${id}-bar` }), el("div", { class: "plot scroll-x", id }));
  }

  function controls(table) {
    const names = tables.map((one, index) => [index, one.task + (one.differs.length ? ` (another identity, ${one.slug.slice(-8)})` : "")]);
    const kinds = [...new Set(table.rows.flatMap((row) => row.flags.map((flag) => flag.kind)))].sort();
    const search = el("input", { type: "search", id: "search", placeholder: "part of a name", value: state.search,
      oninput: (event) => { state.search = event.target.value; refilter(); } });
    return el("div", { class: "bar" },
      select("Task", names, state.table, (value) => { state.table = Number(value); state.metric = null; state.hardware = null; state.condition = null; drawMeasured(); }),
      el("label", { class: "field" }, el("span", {}, "System"), search),
      kinds.map((kind) => el("label", { class: "check" }, el("input", { type: "checkbox", dataset: { hide: kind }, checked: state.hide.has(kind),
        onchange: (event) => { if (event.target.checked) state.hide.add(kind); else state.hide.delete(kind); refilter(); } }), `hide: ${kind}`)));
  }

  function facts(table) {
    const list = [`${table.trials} trials`, `${table.clusters} clusters`, table.kind];
    const node = el("p", { class: "facts" }, list.map((text) => el("span", { class: "chip" }, text)));
    if (table.synthetic) node.append(el("span", { class: "chip warn" }, "synthetic: no recordings"));
    node.append(el("span", { class: "soft small" }, " Cells: penalised mean, [95 % interval of the mean], scored/applicable where scores are missing. A shared letter: not told apart."));
    const box = el("div", {}, node);
    if (table.differs.length) box.append(el("p", { class: "note" }, `A table of its own, for it differs: ${table.differs.join("; ")}.`));
    return box;
  }

  function identity(table) {
    return el("details", { class: "identity" }, el("summary", {}, "Identity of this table"), el("pre", {}, JSON.stringify(table.identity, null, 1)));
  }

  function metricPicker(table) {
    return select("Metric of the plots", table.columns.map((column) => column.key), state.metric, (value) => {
      state.metric = value;
      drawPlots(table, table.columns.find((column) => column.key === value));
    });
  }

  function keep(row) {
    const found = row.label.toLowerCase().includes(state.search.toLowerCase());
    return isBound(row) || (found && !row.flags.some((flag) => state.hide.has(flag.kind))); // bounds stay: no system can be read without them
  }

  function refilter() {
    grid.setFilter((data) => keep(data.row));
    const table = tables[state.table];
    const column = table.columns.find((one) => one.key === state.metric);
    if (column) drawPlots(table, column);
  }

  function drawGrid(table) {
    const data = table.rows.map((row, order) => ({ order, row, group: isBound(row) ? "Bounds, not ranked" : "Systems" }));
    grid = new Tabulator("#grid", {
      data, index: "order", layout: "fitDataFill", groupBy: "group", groupHeader,
      groupValues: [[...new Set(data.map((item) => item.group))]], // sorting must not move the bounds above the systems
      placeholder: "no system passes the filters",
      columnDefaults: { headerSortTristate: true, resizable: false }, columns: columnsOf(table), columnHeaderSortMulti: false,
    });
    grid.on("tableBuilt", () => grid.setFilter((item) => keep(item.row)));
  }

  function groupHeader(value, count) {
    return el("span", {}, `${value} (${count})`);
  }

  function plainColumn(field, heading, get, options = {}) {
    return { field, titleFormatter: title(heading), title: field, ...options,
      mutator: (value, data) => get(data.row),
      formatter: options.formatter || ((cell) => el("span", {}, cell.getValue() === null ? "–" : String(cell.getValue()))) };
  }

  function columnsOf(table) {
    const phone = window.innerWidth < 700;
    const lead = [
      plainColumn("rank", ["rank"], (row) => row.rank, { hozAlign: "right", sorter: blanksLast(true) }),
      plainColumn("tie", ["tie group"], (row) => row.tie, { formatter: (cell) => (cell.getValue() ? el("span", { class: "tie" }, cell.getValue()) : el("span", {}, "–")) }),
    ];
    const system = plainColumn("label", ["system"], (row) => row.label, { frozen: true, minWidth: phone ? 90 : 140, maxWidth: phone ? 140 : 320, cssClass: "wraps", variableHeight: true,
      tooltip: (event, cell) => tip(describe(cell.getData().row)) });
    const costs = table.rows.some((row) => row.cost) ? Object.entries(COSTS).filter(([name]) => table.rows.some((row) => row.cost && row.cost.figures[name] !== null)).map(([name, [text, unit]]) =>
      plainColumn(`cost-${name}`, [text], (row) => (row.cost ? row.cost.figures[name] ?? null : null), { hozAlign: "right", sorter: blanksLast(true),
        formatter: (cell) => el("span", { class: "value" }, amount(cell.getValue(), unit)),
        tooltip: (event, cell) => tip(cell.getData().row.cost ? `on ${cell.getData().row.cost.hardware_key}` : "not profiled") })) : [];
    const flags = plainColumn("flags", ["flags"], (row) => row.flags, { headerSort: false, formatter: (cell) => el("span", {}, chips(cell.getValue())), minWidth: 180,
      tooltip: (event, cell) => tip(cell.getValue().map((flag) => `${flag.kind}: ${flag.text}`).join("\n") || "none") });
    return [system, ...lead, ...table.columns.map(scoreColumn), ...costs, flags];
  }

  function scoreColumn(column, index) {
    return { field: `score-${index}`, title: column.key, titleFormatter: title([`${column.key} ${arrow(column)}`, column.unit]),
      mutator: (value, data) => { const cell = cellOf(data.row, column); return cell ? cell.penalised_mean : null; },
      hozAlign: "right", sorter: blanksLast(!column.higher_is_better), headerSortStartingDir: column.higher_is_better ? "desc" : "asc",
      headerTooltip: () => tip(`${column.summary}\nversion ${column.version}, penalty ${column.penalty}${column.instrument ? `, instrument ${JSON.stringify(column.instrument)}` : ""}`),
      formatter: (cell) => valueNode(cellOf(cell.getData().row, column)),
      tooltip: (event, cell) => tip(cellTip(cell.getData().row, column, cellOf(cell.getData().row, column))) };
  }

  /** Rows without a value stay at the end, whichever way the column is sorted. */
  function blanksLast() {
    return (a, b, rowA, rowB, column, direction) => {
      if (a === null || b === null) return a === b ? 0 : ((a === null) === (direction === "asc") ? 1 : -1);
      return a - b;
    };
  }

  function describe(row) {
    const options = Object.entries(row.system.options).map(([name, value]) => `${name}=${value}`).join(", ");
    const parts = [row.label, row.about.summary, options && `options: ${options}`, row.about.paper, row.about.training_sets && `trained on: ${row.about.training_sets.join(", ") || "nothing"}`,
      row.about.verification && `verification: ${row.about.verification}`, `device ${row.how.device}, batch ${row.how.batch_size}, seed ${row.how.seed}`,
      `tspbench ${row.code.tspbench}, ${row.code.commit ? row.code.commit.slice(0, 10) : "no commit"}`, row.created];
    return parts.filter(Boolean).join("\n");
  }

  // Plots ------------------------------------------------------------------------------------------

  function drawPlots(table, column) {
    const rows = table.rows.filter((row) => keep(row) && cellOf(row, column) && cellOf(row, column).penalised_mean !== null);
    drawIntervals(rows, column);
    drawCost(table, rows, column);
    drawStrata(table, column);
  }

  const label = (column) => `${column.key} ${arrow(column)}${column.unit ? `, ${column.unit}` : ""}`;
  const put = (id, node) => document.getElementById(id).replaceChildren(node);
  const note = (text) => el("p", { class: "soft" }, text);
  const dark = () => window.matchMedia("(prefers-color-scheme: dark)").matches;
  const paint = (d) => (d.bound ? (dark() ? "#a3a7ae" : colour(7)) : colour(dark() ? 4 : 0));
  const styled = { background: "transparent", color: "currentColor", fontSize: "12px" };

  function width(id) {
    return Math.max(280, Math.min(680, document.getElementById(id).clientWidth - 4));
  }

  /** Longest label as a margin, so that names are not cut. */
  function marginFor(names, most = 180) {
    return Math.min(most, 14 + 7 * Math.max(4, ...names.map((name) => name.length)));
  }

  const shortened = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);

  function drawIntervals(rows, column) {
    if (!rows.length) return put("intervals", note("nothing to show"));
    const all = rows.map((row) => ({ label: row.label, bound: isBound(row), ...cellOf(row, column) }));
    // A bound far outside the span between mixture and oracle would flatten everything else.
    const far = all.filter((d) => d.bound && (d.scored === 0 || d.position < -0.5 || d.position > 1.5));
    const data = all.filter((d) => !far.includes(d));
    document.getElementById("intervals-bar").replaceChildren(...(far.length ? [el("span", { class: "soft small" }, `off the scale: ${far.map((d) => `${d.label} ${shown(d.penalised_mean)}`).join(", ")}`)] : []));
    if (!data.length) return put("intervals", note("nothing to show"));
    put("intervals", Plot.plot({
      width: width("intervals"), height: 70 + 24 * data.length, marginBottom: 42, marginLeft: marginFor(data.map((d) => shortened(d.label))), style: styled,
      x: { label: label(column), grid: true, nice: true }, y: { label: null, domain: data.map((d) => d.label), tickFormat: shortened },
      marks: [
        Plot.ruleY(data.filter((d) => d.low !== null), { y: "label", x1: "low", x2: "high", strokeWidth: 3, strokeOpacity: 0.55, stroke: paint }),
        Plot.dot(data, { y: "label", x: "penalised_mean", r: 5, fill: paint,
          title: (d) => `${d.label}: ${shown(d.penalised_mean)} [${shown(d.low)}, ${shown(d.high)}]`, tip: true }),
      ],
    }));
  }

  function drawCost(table, rows, column) {
    const machines = [...new Set(table.rows.filter((row) => row.cost).map((row) => row.cost.hardware_key))].sort();
    const bar = document.getElementById("cost-bar");
    bar.replaceChildren();
    if (!machines.length) return put("cost", note("No system of this table was profiled: tspbench profile --system S --run RUN, then add the run."));
    if (!machines.includes(state.hardware)) state.hardware = machines[0];
    const redraw = () => drawCost(table, rows, column);
    bar.append(select("Cost", Object.entries(COSTS).map(([name, [text]]) => [name, text]), state.cost, (value) => { state.cost = value; redraw(); }),
      select("Measured on", machines, state.hardware, (value) => { state.hardware = value; redraw(); }));
    const [text, unit] = COSTS[state.cost];
    const data = rows.filter((row) => row.cost && row.cost.hardware_key === state.hardware && row.cost.figures[state.cost] !== null && row.cost.figures[state.cost] !== undefined)
      .map((row) => ({ label: row.label, bound: isBound(row), cost: row.cost.figures[state.cost], ...cellOf(row, column) }));
    if (!data.length) return put("cost", note(`No system shown has a figure for ${text} on this machine.`));
    const positive = data.every((d) => d.cost > 0);
    const [least, most] = d3.extent(data, (d) => d.cost);
    const domain = positive ? [least / 1.4, most * 1.4] : [Math.min(0, least), most * 1.1 || 1];
    const middle = positive ? Math.sqrt(domain[0] * domain[1]) : (domain[0] + domain[1]) / 2;
    const name = (side) => Plot.text(data.filter((d) => (d.cost <= middle) === (side === "start")), { x: "cost", y: "penalised_mean", text: (d) => shortened(d.label), dx: side === "start" ? 8 : -8, textAnchor: side });
    put("cost", Plot.plot({
      width: width("cost"), height: 320, marginLeft: 50, marginRight: 24, marginBottom: 42, style: styled, grid: true,
      x: { type: positive ? "log" : "linear", domain, label: text, tickFormat: (value) => amount(value, unit), ticks: positive ? roundSteps(domain) : 4 }, y: { label: label(column), nice: true },
      marks: [
        Plot.ruleX(data.filter((d) => d.low !== null), { x: "cost", y1: "low", y2: "high", strokeOpacity: 0.5, stroke: paint }),
        Plot.dot(data, { x: "cost", y: "penalised_mean", r: 5, fill: paint }),
        name("start"), name("end"),
        Plot.tip(data, Plot.pointer({ x: "cost", y: "penalised_mean", title: (d) => `${d.label}\n${text} ${amount(d.cost, unit)}\n${column.key} ${shown(d.penalised_mean)}` })),
      ],
    }));
  }

  /** 1, 2 and 5 times powers of ten inside a domain; every second of them and so on where they are many. */
  function roundSteps([low, high]) {
    const powers = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1);
    const all = powers.flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power)).filter((value) => value >= low && value <= high);
    return all.filter((value, index) => index % Math.ceil(all.length / 5) === 0);
  }

  function drawStrata(table, column) {
    const strata = table.strata[column.key] || {};
    const names = Object.keys(strata).sort();
    const bar = document.getElementById("strata-bar");
    bar.replaceChildren();
    if (!names.length) return put("strata", note("This metric has no breakdown by condition."));
    if (!names.includes(state.condition)) state.condition = names[0];
    bar.append(select("Condition", names, state.condition, (value) => { state.condition = value; drawStrata(table, column); }));
    const shownRows = table.rows.filter((row) => keep(row));
    const data = Object.entries(strata[state.condition]).flatMap(([stratum, cells]) => shownRows.filter((row) => cells[row.label])
      .map((row) => ({ stratum, label: row.label, value: cells[row.label][0], trials: cells[row.label][1] }))).filter((d) => d.value !== null);
    if (!data.length) return put("strata", note("nothing to show"));
    put("strata", heatMap(data, shownRows, Object.keys(strata[state.condition]), column));
  }

  function heatMap(data, rows, labels, column) {
    // The best and the worst bound would take all the colour: the scale spans the systems where there are some.
    const ranked = new Set(rows.filter((row) => !isBound(row)).map((row) => row.label));
    const inner = data.filter((d) => ranked.has(d.label)).map((d) => d.value);
    const domain = d3.extent(inner.length > 1 ? inner : data.map((d) => d.value));
    const scale = d3.scaleSequential(d3.interpolateViridis).domain(domain).clamp(true);
    const light = (value) => d3.lab(scale(value)).l > 58;
    const left = marginFor(rows.map((row) => shortened(row.label)));
    return Plot.plot({
      width: Math.max(width("strata"), left + 62 * labels.length), height: 110 + 26 * rows.length, marginLeft: left, marginBottom: 96, marginTop: 8, style: styled, padding: 0.04,
      x: { domain: labels, label: null, tickRotate: -40, tickFormat: shortened }, y: { domain: rows.map((row) => row.label), label: null, tickFormat: shortened },
      marks: [
        Plot.cell(data, { x: "stratum", y: "label", fill: (d) => scale(d.value), stroke: dark() ? "#383b42" : "#fff", strokeWidth: 0.5 }),
        Plot.text(data, { x: "stratum", y: "label", text: (d) => shown(d.value), fill: (d) => (light(d.value) ? "#111" : "#fff"), fontSize: 11 }),
        Plot.tip(data, Plot.pointer({ x: "stratum", y: "label", title: (d) => `${d.label} · ${d.stratum}\n${column.key} ${shown(d.value)} over ${d.trials} trials` })),
      ],
    });
  }

  // As reported ------------------------------------------------------------------------------------

  let list = null;

  function drawReported() {
    const home = document.getElementById("reported");
    if (list || !reported.length) return;
    const find = el("input", { type: "search", id: "find", placeholder: "system, test, source…", oninput: filterReported });
    const bar = el("div", { class: "bar" }, choice("kind", "Kind"), choice("task", "Test"), choice("certainty", "How sure"), el("label", { class: "field" }, el("span", {}, "Search"), find));
    home.append(el("p", { class: "note" }, "Taken from publications, not measured here and not ranked. Rows of one group need not be comparable: equal labels may stand for different computations and different trial lists."),
      bar, el("p", { class: "soft small", id: "found" }), el("div", { id: "list" }));
    list = new Tabulator("#list", { data: reported.map((row, order) => ({ order, ...row, test: testOf(row), measure: measureOf(row) })), index: "order", layout: "fitDataFill", height: "75vh",
      groupBy: ["test", "measure"], groupHeader, columnDefaults: { resizable: false, headerSortTristate: true }, placeholder: "no number passes the filters",
      columns: [["system", "system"], ["value", "value"], ["certainty", "how sure"], ["conditions", "conditions"], ["training_data", "training data"], ["source", "source"]].map(([field, heading]) =>
        ({ field, title: heading, titleFormatter: title([heading]), frozen: field === "system", hozAlign: field === "value" ? "right" : "left", sorter: field === "value" ? "number" : "string",
          minWidth: 90, widthGrow: 1, maxWidth: field === "system" ? (window.innerWidth < 700 ? 130 : 220) : 300, formatter: reportedCell, variableHeight: true, cssClass: field === "value" || field === "certainty" ? "" : "wraps", tooltip: (event, cell) => tip(String(cell.getValue())) })) });
    list.on("dataFiltered", (filters, rows) => { document.getElementById("found").textContent = `${rows.length} of ${reported.length} numbers`; });
  }

  function reportedCell(cell) {
    const value = cell.getValue();
    if (cell.getField() === "certainty") return el("span", { class: `chip${["weak", "contradicted", "second-hand"].includes(value) ? " warn" : ""}` }, value);
    return el("span", {}, cell.getField() === "value" ? String(value).replace("-", "−") : value || "–");
  }

  const testOf = (row) => `${row.task} · ${row.protocol === "unknown" ? "protocol unknown" : row.protocol}${row.dialect ? ` · dialect ${row.dialect}` : ""}`;
  const measureOf = (row) => `${row.metric}${row.unit ? ` (${row.unit})` : ""}${row.metric_id ? ` = our ${row.metric_id}` : ""}`;

  const wanted = { kind: "", task: "", certainty: "" };

  function choice(field, heading) {
    const values = [...new Set(reported.map((row) => row[field]))];
    return select(heading, [["", "all"], ...values], "", (value) => { wanted[field] = value; filterReported(); });
  }

  function filterReported() {
    const words = document.getElementById("find").value.toLowerCase();
    list.setFilter((row) => Object.entries(wanted).every(([field, value]) => !value || row[field] === value) &&
      [row.system, row.task, row.source, row.metric, row.conditions].join(" ").toLowerCase().includes(words));
  }

  // Tabs -------------------------------------------------------------------------------------------

  function open(name) {
    for (const other of ["measured", "reported"]) {
      document.getElementById(other).hidden = other !== name;
      const tab = document.getElementById(`tab-${other}`);
      tab.setAttribute("aria-selected", String(other === name));
      tab.tabIndex = other === name ? 0 : -1;
    }
    if (name === "reported") drawReported();
    else drawMeasured();
  }

  for (const [name, other] of [["measured", "reported"], ["reported", "measured"]]) {
    const tab = document.getElementById(`tab-${name}`);
    tab.addEventListener("click", () => open(name));
    tab.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") { open(other); document.getElementById(`tab-${other}`).focus(); }
    });
  }

  tsp.onTheme(() => { if (!document.getElementById("measured").hidden) drawMeasured(); });
  let wide = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== wide && !document.getElementById("measured").hidden) { wide = window.innerWidth; drawMeasured(); } });
  open(tables.length || !reported.length ? "measured" : "reported");
})();
