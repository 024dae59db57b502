// Small helpers that every page uses. Text is only ever set as text: nothing here takes HTML.
"use strict";

(function () {
  const waiting = new Map();
  const arrived = new Map();

  // Data -----------------------------------------------------------------------------------------

  /** A value that stands in the page itself (Python: web.data_script). */
  function data(name) {
    return JSON.parse(document.getElementById(`data-${name}`).textContent);
  }

  /** Called by data files (Python: web.data_file). */
  function put(name, value) {
    arrived.set(name, value);
  }

  /** Load a data file once it is needed; a promise of its value. A failed load may be tried again. */
  function load(path, name) {
    if (!waiting.has(name)) {
      const promise = loadScript(path).then(() => {
        if (!arrived.has(name)) throw new Error(`${path} does not hold ${name}`);
        const value = arrived.get(name);
        arrived.delete(name);
        return value;
      });
      waiting.set(name, promise);
      promise.catch(() => waiting.delete(name));
    }
    return waiting.get(name);
  }

  /** Forget a loaded value, so that its memory can be freed. */
  function forget(name) {
    waiting.delete(name);
  }

  function loadScript(path) {
    return new Promise((resolve, reject) => {
      const script = el("script", { src: path });
      script.onload = () => { script.remove(); resolve(); };
      script.onerror = () => { script.remove(); reject(new Error(`${path} cannot be read`)); };
      document.head.append(script);
    });
  }

  // Elements -------------------------------------------------------------------------------------

  /** An element. Attributes: on* are listeners, class, dataset, other properties by name; null is left out. */
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "dataset") Object.assign(node.dataset, value);
      else if (name === "style") Object.assign(node.style, value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  /** A labelled <select>. Options: values, or [value, text] pairs. */
  function select(label, options, chosen, onchange) {
    const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
    const input = el("select", { onchange: (event) => onchange(event.target.value) },
      pairs.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)));
    return el("label", { class: "field" }, el("span", {}, label), input);
  }

  // Numbers --------------------------------------------------------------------------------------

  /** A number for reading: a true minus, no "-0.00", an en dash for nothing. */
  function number(value, digits = 2) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const text = Math.abs(value).toFixed(digits);
    return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
  }

  function signed(value, digits = 2) {
    const text = number(value, digits);
    return value > 0 && Number(value.toFixed(digits)) !== 0 ? `+${text}` : text;
  }

  // Colours --------------------------------------------------------------------------------------

  // Okabe and Ito's palette, safe for colour-blind readers, without its yellow and black.
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1", "#7f7f7f"];

  function colour(index) {
    return COLOURS[index % COLOURS.length];
  }

  /** Tells when the page turns dark or light. */
  function onTheme(callback) {
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
  }

  window.tsp = { data, put, load, forget, el, select, number, signed, colour, COLOURS, onTheme };
})();
