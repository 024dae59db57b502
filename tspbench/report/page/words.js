// A transcript with its errors marked. Marks carry words and signs, not colours alone.
"use strict";

(function () {
  const { el } = tsp;

  function token([kind, ...parts]) {
    if (kind === "=") return el("span", { class: "w" }, parts[0]);
    if (kind === "D") return el("del", { class: "w deleted", title: "deleted: said, not heard" }, el("span", { class: "sr-only" }, "deleted: "), parts[0]);
    if (kind === "I") return el("ins", { class: `w inserted${parts[1] ? " leaked" : ""}`, title: parts[1] ? "inserted: another talker's word" : "inserted: heard, not said" }, el("span", { class: "sr-only" }, parts[1] ? "inserted, another talker's: " : "inserted: "), parts[0]);
    const [said, heard, leaked] = parts;
    return el("span", { class: `w substituted${leaked ? " leaked" : ""}`, title: leaked ? "substituted by another talker's word" : "substituted" },
      el("span", { class: "sr-only" }, "substituted: "), el("del", {}, said), el("span", { class: "sr-only" }, leaked ? " by another talker's " : " by "), el("ins", {}, heard));
  }

  function counts(marks) {
    const of = (kind) => marks.filter((mark) => mark[0] === kind).length;
    const leaks = marks.filter((mark) => (mark[0] === "I" && mark[2]) || (mark[0] === "S" && mark[3])).length;
    const parts = [`${of("S")} substituted`, `${of("D")} deleted`, `${of("I")} inserted`];
    if (leaks) parts.push(`${leaks} of another talker`);
    return `${parts.join(", ")}; ${of("=") + of("S") + of("D")} words`;
  }

  /** One answer: marked against the transcript where that is known, else as it is. */
  function answer(system) {
    if (!system.words) return el("p", { class: "words" }, system.text || el("i", { class: "soft" }, "(no words)"));
    return el("div", {}, el("p", { class: "words" }, system.words.flatMap((mark) => [token(mark), " "])),
      el("p", { class: "small soft" }, counts(system.words)));
  }

  function legend() {
    return el("p", { class: "words small soft legend" }, token(["S", "said", "heard", false]), " substituted ",
      token(["D", "said"]), " deleted ", token(["I", "heard", false]), " inserted ", token(["I", "heard", true]), " another talker's word");
  }

  tsp.words = { answer, legend, counts };
})();
