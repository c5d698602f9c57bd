"use strict";
/* The page of a sentence. It shows recorded arrays and the sums over them; text from outside only ever becomes a text node. */
const D = JSON.parse(document.getElementById("data").textContent), WORDS = JSON.parse(document.getElementById("words").textContent);
const SVG = "http://www.w3.org/2000/svg", MOST = 12, MODES = Object.keys(D.signals);
const entity = D.predicted.findIndex((label, t) => t < D.kept && label !== "O");
const followed = t => Math.max(0, D.tags.indexOf(D.true ? D.true[t] : D.predicted[t]));
const S = { token: Math.max(0, entity), mode: MODES[0], tag: 0, position: 0, lang: D.language };

const say = (key, ...values) => WORDS[key][S.lang === "zh" ? 1 : 0].replace(/\{(\d)\}/g, (_, k) => values[+k]);
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    if (key === "on") for (const [event, f] of Object.entries(value)) made.addEventListener(event, f);
    else if (key in { value: 1, className: 1, disabled: 1 }) made[key] = value;
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter(c => c !== null && c !== undefined));
  return made;
}
function sv(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function fmt(x, digits = 4) {
  if (x === 0) return "0";
  const size = Math.abs(x), text = size >= 1e5 || size < 1e-4 ? x.toExponential(digits - 2) : String(+x.toPrecision(digits));
  return text.replace(/-/g, "−");
}
const percent = x => (100 * x).toFixed(x < .0995 ? 1 : 0) + " %";

// ------------------------------------------------------------------------------------------------ recorded numbers
const cache = new Map();
function unpack(packed) {
  if (!cache.has(packed)) {
    const raw = atob(packed[2]), bytes = new Uint8Array(raw.length);
    for (let b = 0; b < raw.length; b++) bytes[b] = raw.charCodeAt(b);
    cache.set(packed, packed[0] === 8 ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer));
  }
  return cache.get(packed);
}
/* The row of an array behind its leading indices. */
function row(packed, ...index) {
  const shape = packed[1], width = shape.slice(index.length).reduce((a, b) => a * b, 1);
  let place = 0;
  index.forEach((i, d) => { place = place * shape[d] + i; });
  return unpack(packed).subarray(place * width, (place + 1) * width);
}
const norm = v => Math.sqrt(v.reduce((a, x) => a + x * x, 0));
const dot = (u, v) => u.reduce((a, x, d) => a + x * v[d], 0);

// ------------------------------------------------------------------------------------------------ parts of the page
function strip(vectors) {
  const n = vectors[0].length, w = Math.max(2, Math.min(8, Math.floor(420 / n))), made = sv("svg", { width: n * w, height: 15 * vectors.length, role: "img" });
  vectors.forEach((v, line) => {
    const top = Math.max(...Array.from(v, Math.abs)) || 1;
    v.forEach((x, d) => made.append(sv("rect", { x: d * w, y: 15 * line, width: w, height: 13, class: x < 0 ? "neg" : "pos",
      "fill-opacity": (Math.abs(x) / top).toFixed(3) })));
  });
  return made;
}
function stick(part) {
  return sv("svg", { width: 90, height: 11 }, sv("rect", { x: 0, y: 0, width: Math.max(.5, 90 * part), height: 11, class: "pos" }));
}
function header() {
  const dark = () => { const root = document.documentElement, now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark"; };
  return el("header", {}, el("div", {}, el("h1", {}, D.title), el("p", { class: "soft" }, say("about"))),
    el("div", { class: "tools" }, el("button", { id: "language", on: { click: () => { S.lang = S.lang === "zh" ? "en" : "zh"; draw(); } } }, say("language")),
      el("button", { id: "theme", on: { click: dark } }, say("theme"))));
}
function sentence() {
  const made = el("div", { class: "words" });
  D.tokens.forEach((word, t) => {
    const tag = D.predicted[t];
    made.append(el("button", { "data-token": t, "aria-pressed": String(t === S.token), disabled: t >= D.kept,
      class: tag === "O" ? null : "entity", on: { click: () => { S.token = t; S.tag = followed(t); S.position = middle(); draw(); } } },
      word, el("small", {}, tag)));
  });
  const notes = [];
  if (D.kept < D.tokens.length) notes.push(el("p", { class: "soft", id: "kept" }, say("kept", D.kept, D.tokens.length)));
  return el("section", { class: "card" }, el("h2", {}, say("sentence")), made, ...notes);
}
const middle = () => Math.floor(D.window[S.token].length / 2);
function choose() {
  const mode = el("select", { id: "mode", "aria-label": say("signal"), on: { change: e => { S.mode = e.target.value; draw(); } } },
    ...MODES.map(m => el("option", { value: m }, say(m))));
  const tag = el("select", { id: "tag", "aria-label": say("signal"), on: { change: e => { S.tag = +e.target.value; draw(); } } },
    ...D.tags.map((name, k) => el("option", { value: k }, name)));
  mode.value = S.mode; tag.value = S.tag;
  const value = row(D.signals[S.mode].value, S.tag, S.token)[0];
  const text = S.mode === "loss" ? say("error", fmt(value), D.tags[S.tag]) : say("scored", D.tags[S.tag], fmt(value));
  const facts = [el("strong", { "data-fact": "value", "data-value": value }, text)];
  facts.push(el("span", {}, say("tagged", D.predicted[S.token])), D.true ? el("span", {}, say("truth", D.true[S.token])) : "");
  return el("section", { class: "card" }, el("h2", {}, say("signal")), el("div", { class: "bar" }, mode, tag, ...facts));
}
function outputs() {
  const values = row(D.outputs, S.token), order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]).slice(0, MOST);
  const least = Math.min(0, ...values), reach = Math.max(...values) - least || 1;
  return el("div", {}, el("h3", {}, say("output")), el("table", {}, ...order.map(k => el("tr", {}, el("td", {}, D.tags[k]),
    el("td", { class: "n", "data-output": k, "data-value": values[k] }, fmt(values[k])), el("td", {}, stick((values[k] - least) / reach))))));
}
function win() {
  const words = D.window[S.token], g = words.map((_, p) => row(D.signals[S.mode].e, S.tag, S.token, p)), e = words.map((_, p) => row(D.e, S.token, p));
  const sizes = g.map(norm), total = sizes.reduce((a, b) => a + b, 0), largest = sizes.indexOf(Math.max(...sizes));
  const head = el("tr", {}, ...["word", "vector", "size", "share", "product"].map((key, k) => el("th", { class: k > 1 ? "n" : null }, say(key))));
  const name = p => words[p] === "" ? say("outside") : words[p];
  const rows = words.map((word, p) => el("tr", { "aria-selected": String(p === S.position) },
    el("td", { class: "word" }, el("button", { "data-position": p, on: { click: () => { S.position = p; draw(); } } }, name(p))),
    el("td", {}, strip([e[p], g[p]])), el("td", { class: "n", "data-size": p, "data-value": sizes[p] }, fmt(sizes[p])),
    el("td", { class: "n", "data-share": p, "data-value": total ? sizes[p] / total : 0 }, total ? percent(sizes[p] / total) : "0"),
    el("td", { class: "n", "data-product": p, "data-value": dot(e[p], g[p]) }, fmt(dot(e[p], g[p])))));
  const notes = [el("p", { id: "drives" }, total ? say("drives", name(largest), percent(sizes[largest] / total)) : say("none"))];
  const low = words.map(w => w.toLowerCase());
  for (const word of new Set(low.filter((w, p) => w !== "" && low.indexOf(w) !== p)))
    notes.push(el("p", { class: "soft" }, say("repeated", word, low.filter(w => w === word).length)));
  return el("section", { class: "card" }, el("h2", {}, say("window")), el("div", { class: "scroll" }, el("table", { class: "windows" }, head, ...rows)), ...notes,
    el("details", { id: "components" }, el("summary", {}, say("components", name(S.position))), components(e[S.position], g[S.position])));
}
function components(e, g) {
  const head = el("tr", {}, ...["component", "value", "derivative", "product"].map(key => el("th", { class: "n" }, say(key))));
  return el("div", { class: "scroll" }, el("table", {}, head, ...Array.from(e, (x, d) => el("tr", {}, el("td", { class: "n" }, String(d + 1)),
    el("td", { class: "n", "data-e": d, "data-value": x }, fmt(x)), el("td", { class: "n", "data-g": d, "data-value": g[d] }, fmt(g[d])),
    el("td", { class: "n" }, fmt(x * g[d]))))));
}
function layers() {
  const lists = D.signals[S.mode].deltas.slice().reverse().map(([name, packed], place, all) => {
    const delta = row(packed, S.tag, S.token), hidden = D.units[all.length - 1 - place], a = hidden && place > 0 ? row(hidden[1], S.token) : null;
    const order = Array.from(delta.keys()).sort((p, q) => Math.abs(delta[q]) - Math.abs(delta[p])).slice(0, MOST);
    const top = Math.abs(delta[order[0]]) || 1;
    const rows = order.map(j => el("tr", {}, el("td", {}, place === 0 ? D.tags[j] : String(j + 1)), el("td", { class: "n" }, a ? fmt(a[j]) : ""),
      el("td", { class: "n", "data-delta": name, "data-unit": j, "data-value": delta[j] }, fmt(delta[j])), el("td", {}, stick(Math.abs(delta[j]) / top))));
    const head = el("tr", {}, el("th", {}, say("unit")), el("th", { class: "n" }, a ? "a" : ""), el("th", { class: "n" }, "δ"), el("th", {}));
    return el("div", {}, el("h3", {}, name), delta.length > MOST ? el("p", { class: "soft" }, say("most", MOST, delta.length)) : null, el("table", {}, head, ...rows));
  });
  return el("section", { class: "card" }, el("h2", {}, say("layers")), el("div", { class: "lists" }, outputs(), ...lists));
}
function equations() {
  return el("section", { class: "card" }, el("details", {}, el("summary", {}, say("equations")),
    el("div", { class: "scroll" }, document.getElementById("formulas").content.cloneNode(true))));
}
function draw() {
  const focused = document.activeElement, key = ["data-token", "data-position", "id"].find(k => focused && focused.getAttribute && focused.getAttribute(k));
  const value = key && focused.getAttribute(key), open = document.getElementById("components")?.open;
  document.documentElement.lang = S.lang === "zh" ? "zh-CN" : "en";
  document.getElementById("app").replaceChildren(header(), sentence(), choose(), win(), layers(), equations());
  if (open) document.getElementById("components").open = true;
  if (key) document.querySelector(`[${key}="${value}"]`)?.focus();
}
S.tag = followed(S.token); S.position = middle();
draw();
