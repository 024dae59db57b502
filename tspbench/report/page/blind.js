// Blind comparison: systems as letters in an order that is drawn anew for each trial; votes stay in this browser.
"use strict";

(function () {
  const { el } = tsp;
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

  class Blind {
    constructor(model) {
      this.model = model;
      this.key = `tspbench-votes-${model.id}`;
      this.on = false;
      this.revealed = false;
      this.votes = this.read();
      this.order = [];
    }

    read() {
      try {
        const votes = JSON.parse(localStorage.getItem(this.key));
        return Array.isArray(votes) ? votes : [];
      } catch {
        return [];
      }
    }

    /** Where the browser keeps nothing for files, votes last as long as the page. */
    write() {
      try {
        localStorage.setItem(this.key, JSON.stringify(this.votes));
      } catch { /* said in the panel */ }
    }

    /** Draw an order of some systems. */
    shuffle(labels) {
      this.order = [...labels];
      for (let i = this.order.length - 1; i > 0; i--) {
        const j = Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * (i + 1));
        [this.order[i], this.order[j]] = [this.order[j], this.order[i]];
      }
    }

    letter(label) {
      return LETTERS[this.order.indexOf(label) % LETTERS.length];
    }

    /** choice: a system's label, or null for "no difference". */
    vote(trial, choice) {
      this.votes.push({ time: new Date().toISOString(), trial, presented: [...this.order], choice });
      this.write();
    }

    clear() {
      this.votes = [];
      this.write();
    }

    /** Per system: how often it was heard, how often preferred. */
    tally() {
      const rows = new Map();
      for (const { presented, choice } of this.votes) {
        for (const label of presented) {
          const row = rows.get(label) || { label, heard: 0, preferred: 0, even: 0 };
          row.heard += 1;
          row.preferred += Number(choice === label);
          row.even += Number(choice === null);
          rows.set(label, row);
        }
      }
      return [...rows.values()].sort((a, b) => b.preferred / b.heard - a.preferred / a.heard);
    }

    csv() {
      const quote = (text) => `"${guarded(String(text)).replaceAll('"', '""')}"`;
      const lines = this.votes.map((vote) => [vote.time, vote.trial, vote.presented.join(" | "),
        vote.choice === null ? "" : LETTERS[vote.presented.indexOf(vote.choice)], vote.choice ?? "no difference"].map(quote).join(","));
      return ["time,trial_id,presented,choice,system", ...lines].join("\r\n") + "\r\n";
    }
  }

  /** A text that a spreadsheet would take for a formula is marked as text. */
  function guarded(text) {
    return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  }

  function panel(blind, trialId, onvote, onreveal) {
    const buttons = blind.order.map((label) =>
      el("button", { onclick: () => onvote(label), dataset: { vote: blind.letter(label) } }, `Prefer ${blind.letter(label)}`));
    return el("div", { class: "blind", role: "group", "aria-label": "Your vote" },
      blind.revealed
        ? el("p", {}, "The names are shown. Hide them to go on voting.")
        : [el("p", {}, el("b", {}, "Which is better? "), "Names, scores and spectrograms of the systems are hidden. ",
          el("span", { class: "soft" }, "The next trial opens after your vote.")),
        el("div", { class: "bar" }, buttons, el("button", { onclick: () => onvote(null) }, "No difference"))],
      footer(blind, onreveal));
  }

  function footer(blind, onreveal) {
    const count = blind.votes.length;
    return el("div", {},
      el("div", { class: "bar" },
        el("span", { class: "soft small", role: "status" }, `${count} vote${count === 1 ? "" : "s"}, kept in this browser`),
        el("button", { onclick: () => { blind.revealed = !blind.revealed; onreveal(); }, "aria-pressed": String(blind.revealed), id: "reveal" }, blind.revealed ? "Hide the names" : "Reveal"),
        el("button", { disabled: !count, onclick: () => save(blind), id: "votes-csv" }, "Save votes as CSV"),
        el("button", { disabled: !count, onclick: () => { if (window.confirm("Delete all votes?")) { blind.clear(); onreveal(); } } }, "Delete votes")),
      blind.revealed ? result(blind) : null);
  }

  function result(blind) {
    const rows = blind.tally();
    if (!rows.length) return el("p", { class: "soft" }, "No votes yet.");
    return el("table", { class: "plain", id: "tally" },
      el("thead", {}, el("tr", {}, ["System", "heard", "preferred", "no difference"].map((text, i) => el("th", { class: i ? "num" : "" }, text)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, el("td", {}, row.label), [row.heard, row.preferred, row.even].map((value) => el("td", { class: "num" }, String(value)))))));
  }

  function save(blind) {
    const url = URL.createObjectURL(new Blob([blind.csv()], { type: "text/csv" }));
    const link = el("a", { href: url, download: "votes.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  tsp.blind = { Blind, panel };
})();
