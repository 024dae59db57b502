// Loads the report and shows the page that the address names.
"use strict";

(function () {
  const { el } = tsp;
  const views = {};

  async function start() {
    const model = new tsp.Model(await tsp.load("data/report.js", "report"));
    tsp.model = model;
    document.getElementById("loading").remove();
    const kind = { lass: "language-queried separation", tse: "target speaker extraction", tsasr: "target-speaker speech recognition" }[model.task.kind] || model.task.kind;
    document.getElementById("title").replaceChildren(model.task.name, " ", el("small", { class: "soft" }, kind));
    const notes = model.task.synthetic ? ["Synthetic audio: it ranks methods coarsely and does not stand for recordings.", ...model.notes] : model.notes;
    document.getElementById("notes").append(...notes.map((note) => el("p", { class: "note small" }, note)));
    document.getElementById("foot").textContent = `${model.made_by} · ${model.count} trials · trial list ${model.task.trial_list.slice(0, 12)}`;
    window.addEventListener("hashchange", () => route(model));
    route(model);
  }

  function route(model) {
    const hash = location.hash.slice(1);
    const trial = hash.startsWith("trial=") ? model.placeById.get(decoded(hash.slice(6))) : undefined;
    const view = hash === "listen" || trial !== undefined ? "listen" : "overview";
    for (const name of ["overview", "listen"]) {
      document.getElementById(name).hidden = name !== view;
      const link = document.querySelector(`[data-view="${name}"]`);
      if (name === view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const root = document.getElementById(view);
    if (!views[view]) views[view] = view === "listen" ? new tsp.Listen(root, model) : (tsp.overview.build(root, model), true);
    tsp.listen = views.listen;
    if (view === "overview" && views.listen) views.listen.trial?.player?.pause();
    if (view !== "listen") return;
    if (trial !== undefined) views.listen.open(trial);
    else if (!views.listen.trial) views.listen.step(1);
  }

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  start().catch((error) => {
    document.getElementById("main").append(el("p", { class: "note" }, `The report cannot be shown: ${error.message}. Keep its folder together: index.html, assets, data and audio.`));
    throw error;
  });
})();
