"use strict";
/* The trace page. It reads the print trees of the equations and the recorded arrays, substitutes the numbers and evaluates
   the very trees that are printed. Nothing is fetched; text from outside only ever becomes a text node. */
const D = JSON.parse(document.getElementById("data").textContent), WORDS = JSON.parse(document.getElementById("words").textContent);
const FORMULAS = document.getElementById("formulas").content, SVG = "http://www.w3.org/2000/svg", LOTS = 12, FOLD = 14;
const S = { view: "network", n: 0, k: D.snapshots.length - 1, t: Math.max(0, (D.extents.T || 1) - 1), line: 0, lang: D.language, edges: "w",
  rate: D.rate, pick: null, gate: {}, heat: { name: null, what: "w", cell: null, at: [0, 0], open: false } };

// ------------------------------------------------------------------------------------------------ small helpers
const say = (key, ...values) => WORDS[key][S.lang === "zh" ? 1 : 0].replace(/\{(\d)\}/g, (_, k) => values[+k]);
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    if (key === "on") for (const [event, f] of Object.entries(value)) made.addEventListener(event, f);
    else if (key in { value: 1, checked: 1, className: 1 }) made[key] = value;
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter(c => c !== null && c !== undefined));
  return made;
}
function sv(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  if (tag === "svg") made.style.minWidth = Math.round(.66 * attributes.width) + "px";       // smaller than that it scrolls
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function fmt(x, digits = 4) {
  if (typeof x !== "number" || Number.isNaN(x)) return "?";
  if (!Number.isFinite(x)) return x < 0 ? "−∞" : "∞";
  if (x === 0) return "0";
  const size = Math.abs(x), text = size >= 1e5 || size < 1e-4 ? x.toExponential(Math.max(0, digits - 2)) : String(+x.toPrecision(digits));
  return text.replace("-", "−").replace(/e[+]?(−|-)?(\d+)/, (_, sign, power) => "e" + (sign ? "−" : "") + power);
}
const clear = node => { while (node.firstChild) node.firstChild.remove(); return node; };
const sign = x => x < 0 ? "var(--neg)" : "var(--pos)";

// ------------------------------------------------------------------------------------------------ recorded numbers
const cache = new Map();
function array(name, k = S.k) {
  const key = k + "/" + name;
  if (!cache.has(key)) {
    const packed = D.snapshots[k].arrays[name];
    let made = null;
    if (packed) {
      const raw = atob(packed[2]), bytes = new Uint8Array(raw.length);
      for (let b = 0; b < raw.length; b++) bytes[b] = raw.charCodeAt(b);
      made = { data: packed[0] === 8 ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer), shape: packed[1] };
    }
    cache.set(key, made);
  }
  return cache.get(key);
}
function at(name, index, k = S.k) {
  const a = array(name, k);
  if (!a) return D.constants[name] !== undefined ? D.constants[name] : NaN;
  let place = 0;
  for (let d = 0; d < a.shape.length; d++) {
    if (index[d] < 0 || index[d] >= a.shape[d]) return NaN;
    place = place * a.shape[d] + index[d];
  }
  return a.data[place];
}
/** The value of a quantity for the chosen sample and step; units by position among its unit axes. */
function here(name, units = [], change = {}) {
  const meta = D.names[name];
  if (!meta) return at(name, []);
  let u = 0;
  const index = meta.axes.map(([, kind]) => kind === "sample" ? (change.n ?? S.n) : kind === "time" ? (change.t ?? S.t) : kind === "pair" ? 0 : units[u++] ?? 0);
  return at(name, index, change.k ?? S.k);
}
function shown(name, index) {
  const meta = D.names[name];
  if (!meta) return name;
  const subs = index.map((x, d) => typeof x === "number" ? x + 1 : x);
  return meta.shown + (subs.length ? "[" + (meta.flipped ? subs.reverse() : subs).join(",") + "]" : "");
}

// ------------------------------------------------------------------------------------------------ evaluating print trees
const erfcFar = a => { // 1 − erf, a >= 3: the continued fraction of Abramowitz & Stegun 7.1.14
  let f = 0;
  for (let n = 60; n > 0; n--) f = n / 2 / (a + f);
  return Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f);
};
const erf = x => { // and the series 7.1.5
  const a = Math.abs(x);
  let sum = 0, term = a;
  if (a >= 3) return Math.sign(x) * (1 - erfcFar(a));
  for (let n = 0; n < 120; n++) { sum += term / (2 * n + 1); term *= -a * a / (n + 1); }
  return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum;
};
const normalCdf = x => x * Math.SQRT1_2 < -3 ? erfcFar(-x * Math.SQRT1_2) / 2 : (1 + erf(x * Math.SQRT1_2)) / 2;
const WORD = { exp: Math.exp, log: Math.log, sqrt: Math.sqrt, reciprocal: x => 1 / x, sign: Math.sign, step: x => +(x > 0), abs: Math.abs,
  greater: (a, b) => +(a > b), equal: (a, b) => +(a === b), maximum: Math.max, minimum: Math.min, select: (c, a, b) => c !== 0 ? a : b,
  sigmoid: x => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)), tanh: Math.tanh, erf, normal_cdf: normalCdf,
  expm1: Math.expm1,
  softplus: x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) };
function call(name, operands) {
  if (WORD[name]) return WORD[name](...operands);
  const walk = node => node[0] === "arg" ? operands[node[1]] : node[0] === "num" ? node[1] : node[0] === "prod" ? node[1].reduce((p, x) => p * walk(x), 1)
    : node[0] === "plus" ? node[1].reduce((s, [w, x]) => s + w * walk(x), 0) : call(node[1], node[2].map(walk));
  return D.functions[name] ? walk(D.functions[name]) : NaN;
}
const extent = (axis) => typeof axis[2] === "number" ? axis[2] : D.extents[axis[2]];
class Reader {
  constructor(line) { this.line = line; }
  length(a) { const axis = this.line.axes[a]; return extent(axis); }
  kept(a) { return this.line.axes[a][1] === "sample" ? D.samples : this.length(a); }
  spot([where, offset], env) { return typeof where === "number" ? env[where] + offset : where === "first" ? offset : D.extents.T - 1 + offset; }
  /** Index of a symbol, or null where its step lies outside the range of time. */
  index(node, env) {
    const index = node[2].map(place => this.spot(place, env)), meta = D.names[node[1]];
    for (let d = 0; d < index.length; d++)
      if (meta && meta.axes[d] && meta.axes[d][1] === "time" && (index[d] < 0 || index[d] >= D.extents.T)) return null;
    return index;
  }
  value(node, env) {
    switch (node[0]) {
      case "num": return node[1];
      case "ext": return Math.pow(D.extents[node[1]], node[2]);
      case "sym": { const index = this.index(node, env); return index ? at(node[1], index) : node[3] ? this.value(node[3], env) : 0; }
      case "prod": return node[1].reduce((p, x) => p * this.value(x, env), 1);
      case "sum": return this.each(node[1], env).reduce((s, e) => s + this.value(node[2], e), this.whole(node[1]) ? 0 : NaN);
      case "plus": return node[1].reduce((s, [w, x]) => s + w * this.value(x, env), 0);
      case "slope": { const z = node[2]; return at(node[3], this.index(z, env)); }
      case "fn": return call(node[1], node[2].map(x => this.value(x, env)));
      case "pow": return Math.pow(this.value(node[1], env), node[2]);
      case "quo": return this.value(node[1], env) / this.value(node[2], env);
      case "red": { const all = this.each(node[2], env).map(e => this.value(node[3], e)), top = Math.max(...all);
        return node[1] === "max" ? top : top + Math.log(all.reduce((s, x) => s + Math.exp(x - top), 0)); }
      case "softmax": { const all = this.each([node[2]], env).map(e => this.value(node[1], e)), top = Math.max(...all);
        return Math.exp(this.value(node[1], env) - top) / all.reduce((s, x) => s + Math.exp(x - top), 0); }
      case "iv": return +(this.value(node[1], env) === this.spot(node[2], env));
      case "cases": { const found = this.chosen(node, env); return found ? this.value(found, env) : 0; }
      case "cmp": { const a = this.value(node[2], env), b = this.value(node[3], env); return +(node[1] === ">" ? a > b : node[1] === "=" ? a === b : a <= b); }
      case "choice": return this.value(this.value(node[1], env) !== 0 ? node[2] : node[3], env);
    }
    return NaN;
  }
  chosen(node, env) {
    for (const [tree, axis, kind, start, stop] of node[1]) {
      const x = env[axis], last = this.length(axis) - 1;
      if ({ first: x === 0, last: x === last, later: x > 0, earlier: x < last, range: x >= start && x < stop }[kind]) return tree;
    }
    return null;
  }
  whole(axes) { return axes.every(a => this.kept(a) === this.length(a)); }
  each(axes, env) {
    let all = [env];
    for (const a of axes) all = all.flatMap(e => Array.from({ length: this.kept(a) }, (_, x) => ({ ...e, [a]: x })));
    return all;
  }
  // -- the formula with its numbers, as inline nodes ------------------------------------------------------------------
  num(x, title, bare) { return el("span", { class: "num" + (x < 0 ? " neg" : ""), title: title || "", "data-value": String(x) }, x < 0 && !bare ? "(" + fmt(x) + ")" : fmt(x)); }
  alone(node, env, deep) { return node[0] === "sym" ? [this.num(this.value(node, env), this.name(node, env), true)] : this.inline(node, env, deep); }
  name(node, env) { const index = this.index(node, env); return index ? shown(node[1], index) : say("outside"); }
  inline(node, env, deep = 0) {
    const put = (...x) => x.flat(), paren = (x, when) => when ? put("(", x, ")") : x, loose = n => n[0] === "plus" || n[0] === "sum" && this.each(n[1], env).length > 1;
    switch (node[0]) {
      case "num": return [node[2].replace("-", "−")];
      case "ext": return [node[2] === -1 ? "1/" + D.extents[node[1]] : String(this.value(node, env))];
      case "sym": return [this.num(this.value(node, env), this.name(node, env))];
      case "prod": return put(...node[1].map((x, i) => put(i ? " · " : "", paren(this.inline(x, env, deep + 1), loose(x)))));
      case "plus": return put(...node[1].map(([w, x], i) => put(w < 0 ? (i ? " − " : "−") : i ? " + " : "", Math.abs(w) !== 1 && !(x[0] === "num" && x[1] === 1) ? fmt(Math.abs(w)) + " · " : "",
        x[0] === "num" && x[1] === 1 ? fmt(Math.abs(w)) : paren(this.inline(x, env, deep + 1), x[0] === "plus" || w !== 1 && loose(x)))));
      case "sum": {
        const all = this.each(node[1], env), most = deep ? 4 : 6;
        if (all.length === 1) return this.inline(node[2], all[0], deep);
        const few = all.length <= most + 1 ? all : all.slice(0, most - 1), last = few.length < all.length ? [all[all.length - 1]] : [];
        return put(...few.map((e, i) => put(i ? " + " : "", paren(this.inline(node[2], e, deep + 1), loose(node[2])))), last.length ? " + ⋯ + " : "",
          ...last.map(e => this.inline(node[2], e, deep + 1)));
      }
      case "slope": return put((node[1] === "sigmoid" ? "σ" : node[1]) + "′(", this.alone(node[2], env, deep), ") = ", this.num(this.value(node, env), ""));
      case "fn": return put((node[1] === "sigmoid" ? "σ" : node[1]) + "(", ...node[2].map((x, i) => put(i ? ", " : "", this.alone(x, env, deep + 1))), ")");
      case "pow": return put(paren(this.inline(node[1], env, deep + 1), node[1][0] !== "sym"), node[2] === 2 ? "²" : "^" + node[2]);
      case "quo": return put(paren(this.inline(node[1], env, deep + 1), loose(node[1])), " / ", paren(this.inline(node[2], env, deep + 1), node[2][0] !== "sym"));
      case "softmax": { const total = this.each([node[2]], env).reduce((s, e) => s + Math.exp(this.value(node[1], e)), 0);
        return put("exp(", this.inline(node[1], env, deep + 1), ") / ", this.num(total, "Σ exp")); }
      case "red": return [this.num(this.value(node, env), node[1])];
      case "iv": return put("[", this.inline(node[1], env, deep), " = ", String(this.spot(node[2], env) + 0), "]");
      case "cases": { const found = this.chosen(node, env); return found ? this.inline(found, env, deep) : ["0"]; }
      case "cmp": return put("[", this.inline(node[2], env, deep + 1), " " + node[1] + " ", this.inline(node[3], env, deep + 1), "]");
      case "choice": return this.inline(this.value(node[1], env) !== 0 ? node[2] : node[3], env, deep);
    }
    return ["?"];
  }
  /** The first Σ in a tree, with the case that holds chosen on the way. */
  firstSum(node, env, over) {
    if (!Array.isArray(node)) return null;
    if (node[0] === "cases") return this.firstSum(this.chosen(node, env), env, over);
    if (node[0] === "sum" && (!over || node[1].some(a => this.line.axes[a][1] === over)) && this.each(node[1], env).length > (over ? 0 : 1)) return node;
    for (const part of node.slice(1)) {
      const found = Array.isArray(part) ? Array.isArray(part[0]) || typeof part[0] !== "string" ? part.map(x => this.firstSum(typeof x?.[0] === "number" ? x[1] : x, env, over)).find(Boolean) : this.firstSum(part, env, over) : null;
      if (found) return found;
    }
    return null;
  }
  /** Every outermost Σ of a tree, with the case that holds chosen on the way. */
  sums(node, env) {
    if (!node) return [];
    switch (node[0]) {
      case "sum": return [node];
      case "prod": return node[1].flatMap(x => this.sums(x, env));
      case "plus": return node[1].flatMap(([, x]) => this.sums(x, env));
      case "quo": return this.sums(node[1], env);
      case "cases": return this.sums(this.chosen(node, env), env);
    }
    return [];
  }
  symbols(node, env) {
    if (node[0] === "sym") return [this.name(node, env)];
    if (node[0] === "prod") return node[1].flatMap(x => this.symbols(x, env));
    if (node[0] === "pow") return this.symbols(node[1], env).map(x => x + (node[2] === 2 ? "²" : "^" + node[2]));
    return [];
  }
}
const same = (a, b) => Math.abs(a - b) <= 2e-5 * Math.max(1e-6, Math.abs(a), Math.abs(b)) + 1e-6 * scaleOf(b);
const scaleOf = x => Math.min(1, Math.abs(x) + 1e-2);

// ------------------------------------------------------------------------------------------------ pieces of the panel
function environment(line, units) {
  const env = {};
  for (const a of line.free) {
    const [name, kind, count] = line.axes[a];
    env[a] = kind === "sample" ? S.n : kind === "time" ? S.t : kind === "unit" ? Math.min(units[name] ?? 0, count - 1) : 0;
  }
  return env;
}
function substituted(line, units, wanted) {
  const reader = new Reader(line), env = environment(line, units), index = reader.index(line.left, env), recorded = at(line.name, index);
  const box = el("div", { class: "sub", "data-line": line.number });
  const sides = wanted ? line.sides.filter(s => s.kind === wanted) : line.sides;
  (sides.length ? sides : line.sides).forEach((side, i) => box.append(el("div", {}, i ? " = " : shown(line.name, index) + " = ", ...reader.inline(side.tree, env))));
  const values = line.sides.map(side => reader.value(side.tree, env)), wrong = values.find(v => !Number.isNaN(v) && !same(v, recorded));
  box.append(el("div", {}, " = ", el("span", { class: "eq num" + (recorded < 0 ? " neg" : ""), "data-value": String(recorded), "data-name": line.name, "data-evaluated": String(values[values.length - 1]) }, fmt(recorded, 6)), " ",
    values.every(Number.isNaN) ? el("span", { class: "note" }, say("partly")) : wrong === undefined ? el("span", { class: "ok", title: say("adds_up") }, "✓") : el("span", { class: "off" }, "✗ " + say("differs", fmt(wrong), fmt(recorded)))));
  return box;
}
function termTable(line, units) {
  const reader = new Reader(line), env = environment(line, units);
  const sums = line.sides.map(side => reader.sums(side.tree, env)).find(found => found.length) || [];
  const rows = sums.flatMap(sum => reader.each(sum[1], env).map(e => ({ e, sum, value: reader.value(sum[2], e) })));
  if (rows.length < 2) return null;
  const order = rows.length > LOTS ? [...rows].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, LOTS) : rows;
  const top = Math.max(...rows.map(r => Math.abs(r.value)), 1e-300), table = el("table", { class: "terms" });
  for (const { e, sum, value } of order) {
    const factors = sum[2][0] === "prod" ? sum[2][1] : [sum[2]];
    table.append(el("tr", {}, el("td", {}, reader.symbols(sum[2], e).join(" · ")), el("td", { class: "sub" }, ...factors.flatMap((f, i) => [i ? " · " : "", ...reader.inline(f, e, 1)])),
      el("td", { class: "n", "data-term": String(value) }, "= " + fmt(value)), el("td", {}, stick(value / top))));
  }
  if (order.length < rows.length) {
    const rest = rows.reduce((s, r) => s + r.value, 0) - order.reduce((s, r) => s + r.value, 0);
    table.append(el("tr", {}, el("td", { colspan: 4 }, say("more", rows.length - order.length, fmt(rest)))));
  }
  if (sums.some(sum => !reader.whole(sum[1]))) table.append(el("tr", {}, el("td", { colspan: 4 }, say("rest_samples", D.extents.N - D.samples))));
  else table.append(el("tr", {}, el("th", {}, "Σ"), el("td"), el("td", { class: "n" }, el("b", {}, fmt(rows.reduce((s, r) => s + r.value, 0), 6))), el("td")));
  return el("div", {}, el("h3", {}, say("terms")), el("div", { class: "scroll" }, table));
}
function stick(share) {
  const made = el("span", { class: "stick" });
  made.style.width = Math.max(1, Math.round(76 * Math.abs(share || 0))) + "px";
  made.style.background = sign(share);
  return made;
}
const formula = line => { const made = el("div", { class: "formula" }); made.append(FORMULAS.children[line.number - 1].cloneNode(true)); return made; };
const rule = line => line.rules[S.lang === "zh" ? 1 : 0].join(S.lang === "zh" ? "；" : "; ");
const unitName = (c, j) => c.kind === "input" ? (D.features && D.features[j]) || say("input", j + 1) : c === D.columns[D.columns.length - 1] && D.classes && D.classes[j] ? D.classes[j] : say("unit", j + 1, c.label);
function unitsOf(pick) {
  if (!pick) return {};
  const units = { ...(pick.units || {}) };
  if (pick.kind === "unit") { const c = D.columns[pick.column]; if (c.unit) units[c.unit] = units[c.unit + "'"] = pick.j; }
  return units;
}
function sensitivity(name, units, label) {
  const adjoint = D.adjoints[name];
  if (name === "E") return el("p", {}, say("sensitivity", "E", "1"));
  if (!adjoint) return D.names[name] && ["activation", "pre_activation", "state"].includes(D.names[name].role) ? el("p", { class: "note" }, say("not_formed")) : null;
  return el("p", { class: "sensitivity" }, say("sensitivity", label, fmt(here(adjoint, units))));
}
function unitPanel(pick) {
  const c = D.columns[pick.column], j = pick.j, box = el("div", { "data-unit": c.label + ":" + j }), units = unitsOf(pick);
  box.append(el("h2", {}, unitName(c, j)));
  const facts = el("table", {}), fact = (name, v) => facts.append(el("tr", {}, el("th", {}, shown(name, [j])), el("td", { class: "n", "data-fact": name, "data-value": String(v) }, fmt(v, 6))));
  const named = [...new Set([...c.pre, c.out])];
  for (const name of named) {
    fact(name, here(name, [j]));
    const slope = Object.keys(D.snapshots[S.k].arrays).find(s => s.startsWith("slope.") && s.endsWith("." + name));
    if (slope) fact(slope, here(slope, [j]));
    if (D.adjoints[name]) fact(D.adjoints[name], here(D.adjoints[name], [j]));
  }
  box.append(facts, sensitivity(c.out, [j], shown(c.out, [j])) || "");
  for (const line of D.lines) {
    const own = c.kind === "input" ? line.of === c.out : line.layer === c.label;
    if (!own || line.role === "gradient" || !line.free.some(a => line.axes[a][0] === c.unit)) continue;
    box.append(el("h3", {}, `(${line.number}) ` + rule(line)), substituted(line, units));
    if (line.role === "pre_activation" || line.role === "delta" || line.role === "adjoint") { const table = termTable(line, units); if (table) box.append(table); }
  }
  return box;
}
function weightPanel(pick) {
  const { name, index } = pick, box = el("div", { "data-weight": name + ":" + index.join(",") }), value = at(name, index), meta = D.names[name];
  box.append(el("h2", {}, say(index.length > 1 ? "weight" : "parameter", shown(name, index))), el("p", {}, shown(name, index) + " = ", el("b", { "data-fact": name, "data-value": String(value) }, fmt(value, 6))));
  const line = D.lines.find(l => l.of === name && l.role === "gradient");
  if (!line) return box;
  const units = {}, reader = new Reader(line);
  line.free.forEach((a, d) => units[line.axes[a][0]] = index[d]);
  const env = environment(line, units), g = at(line.name, index), sum = line.sides.map(s => reader.firstSum(s.tree, env, "sample")).find(Boolean);
  box.append(formula(line));
  if (sum) {
    const inner = sum[1].filter(a => line.axes[a][1] !== "sample"), samples = sum[1].filter(a => line.axes[a][1] === "sample");
    const rows = reader.each(samples, env).map(e => ({ e, value: inner.length ? reader.each(inner, e).reduce((s, x) => s + reader.value(sum[2], x), 0) : reader.value(sum[2], e) }));
    const few = rows.length <= LOTS ? rows : rows.slice(0, LOTS), top = Math.max(...rows.map(r => Math.abs(r.value)), 1e-300), table = el("table", { class: "terms" });
    few.forEach((r, n) => { const first = inner.length ? null : r.e;
      table.append(el("tr", {}, el("td", {}, say("row", D.rows[n])), el("td", { class: "sub" }, ...(first ? reader.inline(sum[2], first, 1) : reader.inline(["sum", inner, sum[2]], r.e, 1))), el("td", { class: "n", "data-sample-term": String(r.value) }, "= " + fmt(r.value)), el("td", {}, stick(r.value / top)))); });
    if (few.length < rows.length) table.append(el("tr", {}, el("td", { colspan: 4 }, say("more", rows.length - few.length, fmt(rows.slice(LOTS).reduce((s, r) => s + r.value, 0))))));
    if (D.samples < D.extents.N) table.append(el("tr", {}, el("td", { colspan: 4 }, say("rest_samples", D.extents.N - D.samples))));
    box.append(el("h3", {}, say("per_sample") + ": " + say("contribution")), el("div", { class: "scroll" }, table));
    const mean = rows.reduce((s, r) => s + r.value, 0) / D.extents.N;
    if (D.samples === D.extents.N) {
      box.append(el("p", {}, say("mean", D.extents.N) + " = ", el("b", { "data-mean": String(mean) }, fmt(mean, 6))));
      if (!same(mean, g)) box.append(el("p", {}, say("decay") + " = ", fmt(g - mean)));
    }
  }
  box.append(el("p", {}, say("gradient") + " = ", el("b", { "data-fact": line.name, "data-value": String(g) }, fmt(g, 6))), el("h3", {}, say("update")));
  const rate = el("input", { type: "number", min: "0", step: "any", value: S.rate, "aria-label": say("rate"), id: "rate", on: { change: e => { const x = parseFloat(e.target.value); if (x >= 0) { S.rate = x; draw(); } } } });
  box.append(el("p", {}, el("label", {}, say("rate") + " ", rate)), el("p", { class: "sub" }, `${shown(name, index)} − η · ∂J/∂w = ${fmt(value)} − ${fmt(S.rate)} · ${g < 0 ? "(" + fmt(g) + ")" : fmt(g)} = `, el("b", { "data-updated": String(value - S.rate * g) }, fmt(value - S.rate * g, 6))));
  if (S.k + 1 < D.snapshots.length) box.append(el("p", { class: "note" }, say("trained", fmt(at(name, index, S.k + 1) - value), D.snapshots[S.k + 1].when)));
  return box;
}
function linePanel() {
  const line = D.lines[S.line], units = unitsOf(S.pick), box = el("div", {}), meta = D.names[line.name];
  if (S.pick && S.pick.kind === "weight") line.free.forEach((a, d) => { if (line.of === S.pick.name) units[line.axes[a][0]] = S.pick.index[d]; });
  box.append(formula(line), el("p", { class: "soft" }, rule(line)), el("h3", {}, say("numbers")), substituted(line, units));
  const table = termTable(line, units);
  if (table) box.append(table);
  const axes = line.free.map(a => line.axes[a]).filter(axis => axis[1] === "unit");
  if (axes.length === 1 && axes[0][2] > 1) {
    const row = el("div", { class: "vector" }), count = Math.min(axes[0][2], 64);
    for (let j = 0; j < count; j++) row.append(el("button", { type: "button", "aria-pressed": String((units[axes[0][0]] ?? 0) === j), on: { click: () => chooseAxis(line, axes[0][0], j) } }, shown(line.name, line.free.map(a => line.axes[a][1] === "unit" ? j : line.axes[a][1] === "time" ? S.t : S.n)).replace(/\[.*/, "") + "[" + (j + 1) + "] " + fmt(here(line.name, [j]), 3)));
    if (count < axes[0][2]) row.append(el("span", { class: "note" }, "… " + axes[0][2]));
    box.append(el("h3", {}, meta.shown), row);
  }
  return box;
}
function chooseAxis(line, name, j) {
  const column = D.columns.findIndex(c => c.unit === name && (c.label === line.layer || c.kind === "input"));
  S.pick = column >= 0 ? { kind: "unit", column, j } : { kind: "axis", units: { ...unitsOf(S.pick), [name]: j } };
  draw();
}

// ------------------------------------------------------------------------------------------------ the network
const backward = () => D.lines[S.line].of !== null;
function largest(values) { let top = 0; for (const v of values) if (Math.abs(v) > top) top = Math.abs(v); return top || 1; }
function range(count) { return Array.from({ length: count }, (_, k) => k); }
function deltaName(c) { return D.adjoints[c.pre[0]] && c.pre.length === 1 ? D.adjoints[c.pre[0]] : D.adjoints[c.out]; }
function nodeText(c, j, back) {
  const name = deltaName(c), parts = [unitName(c, j)];
  for (const q of new Set([...c.pre, c.out])) parts.push(shown(q, [j]) + " = " + fmt(here(q, [j])));
  if (name) parts.push(shown(name, [j]) + " = " + fmt(here(name, [j])));
  return parts.join(", ");
}
function press(node, action) {
  node.addEventListener("click", action);
  node.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); action(); } });
  return node;
}
function edgeValue(map, i, j, c, below) {
  const w = at(map.weight, [i, j]);
  if (S.edges === "w") return w;
  if (S.edges === "wa") return w * here(below.out, [i]);
  if (S.edges === "g") { const line = D.lines.find(l => l.of === map.weight); return line ? at(line.name, [i, j]) : NaN; }
  return D.adjoints[map.target] ? w * here(D.adjoints[map.target], [j]) : NaN;
}
const columnsWide = () => D.columns.length <= 3 ? 250 : D.columns.length <= 4 ? 215 : 175;
const inNode = x => { const text = fmt(x, 3); return text.length > 6 ? fmt(x, 1) : text; };
const incident = (column, j) => S.pick && S.pick.kind === "unit" && S.pick.column === column && S.pick.j === j;
function drawNetwork() {
  const GAP = 76, WIDE = columnsWide(), columns = D.columns, back = backward(), line = D.lines[S.line];
  const rows = columns.map(c => c.count <= FOLD ? c.count : 7), tall = Math.max(...rows) + 1, height = tall * GAP + 58, width = 140 + WIDE * (columns.length - 1);
  const svg = sv("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": say("network") + " " + D.spec });
  const X = k => 70 + WIDE * k, Y = (k, j) => 58 + GAP * ((tall - 1 - rows[k]) / 2 + j);
  const layer = columns.findIndex(c => c.label === line.layer);
  if (layer >= 0) svg.append(sv("rect", { class: "band", x: X(layer) - 48, y: 2, width: 96, height: height - 4, rx: 8 }));
  columns.forEach((c, k) => {
    const below = columns[k - 1], map = c.maps[Math.min(S.gate[k] || 0, c.maps.length - 1)];
    if (!below || !map || !array(map.weight)) { const pairs = !below ? [] : below.count === c.count && c.count <= FOLD && below.kind !== "input" ? range(c.count) : [(rows[k] - 1) / 2];
      for (const j of pairs) svg.append(sv("line", { x1: X(k - 1) + 26, x2: X(k) - 26, y1: pairs.length > 1 ? Y(k - 1, j) : Y(k, j), y2: Y(k, j), stroke: "var(--soft)", "stroke-opacity": .6, "stroke-width": 1.5, "stroke-dasharray": "2 4" }));
      return; }
    if (c.count > FOLD || below.count > FOLD || c.count * below.count > 400) {
      const y = height / 2, norm = Math.sqrt(array(map.weight).data.reduce((s, w) => s + w * w, 0));
      const band = sv("g", { class: "node", tabindex: 0, role: "button", "aria-label": say("open_heat", map.weight) }, sv("path", { d: `M${X(k - 1) + 40} ${Y(k - 1, -0.3)} L${X(k) - 40} ${Y(k, -0.3)} L${X(k) - 40} ${Y(k, rows[k] - .7)} L${X(k - 1) + 40} ${Y(k - 1, rows[k - 1] - .7)}Z`, fill: "var(--soft)", "fill-opacity": .12, stroke: "var(--line)" }),
        sv("text", { class: "small halo", x: (X(k) + X(k - 1)) / 2, y: y - 8, "text-anchor": "middle" }, D.names[map.weight].shown + "  " + below.count + " × " + c.count), sv("text", { class: "small halo", x: (X(k) + X(k - 1)) / 2, y: y + 8, "text-anchor": "middle" }, "‖" + D.names[map.weight].shown + "‖ " + fmt(norm, 3)));
      svg.append(press(band, () => { S.heat.name = map.weight; S.heat.open = true; S.heat.at = [0, 0]; S.heat.cell = null; draw(); document.getElementById("heat").scrollIntoView({ block: "nearest" }); }));
    } else {
      const all = range(below.count).flatMap(i => range(c.count).map(j => ({ i, j, v: edgeValue(map, i, j, c, below) }))), top = largest(all.map(e => e.v)), labels = e => all.length <= 9 || incident(k - 1, e.i) || incident(k, e.j);
      for (const { i, j, v } of all) {
        const w = at(map.weight, [i, j]), picked = S.pick && S.pick.kind === "weight" && S.pick.name === map.weight && S.pick.index[0] === i && S.pick.index[1] === j;
        svg.append(press(sv("line", { class: "edge" + (picked ? " picked" : ""), x1: X(k - 1) + 24, y1: Y(k - 1, i), x2: X(k) - 24, y2: Y(k, j), stroke: sign(v), "stroke-width": 1 + 5 * Math.abs(v) / top, "stroke-opacity": .25 + .7 * Math.abs(v) / top, tabindex: all.length <= 60 ? 0 : -1, role: "button", "data-edge": map.weight + ":" + i + "," + j, "data-value": v,
          "aria-label": shown(map.weight, [i, j]) + " = " + fmt(w) + (S.edges === "w" ? "" : ", " + say("edge_" + S.edges) + " " + fmt(v)) }), () => { S.pick = { kind: "weight", name: map.weight, index: [i, j] }; draw(); }));
      }
      for (const { i, j, v } of all.filter(labels)) { const f = all.length <= 9 ? .3 + .2 * (i % 3) : incident(k - 1, i) ? .72 : .28;
        svg.append(sv("text", { class: "tiny halo", x: X(k - 1) + 24 + f * (WIDE - 48), y: Y(k - 1, i) + f * (Y(k, j) - Y(k - 1, i)) + 3, "text-anchor": "middle" }, fmt(v, 3))); }
    }
    if (map.bias && array(map.bias)) {
      const y = height - 24, x = X(k - 1), top = largest(array(map.bias).data);
      if (c.count <= FOLD) for (const j of range(c.count)) {
        const b = at(map.bias, [j]), picked = S.pick && S.pick.kind === "weight" && S.pick.name === map.bias && S.pick.index[0] === j;
        svg.append(press(sv("line", { class: "edge" + (picked ? " picked" : ""), x1: x + 16, y1: y, x2: X(k) - 24, y2: Y(k, j), stroke: sign(b), "stroke-width": 1 + 3 * Math.abs(b) / top, "stroke-opacity": .2 + .6 * Math.abs(b) / top, "stroke-dasharray": "6 4", tabindex: 0, role: "button", "data-edge": map.bias + ":" + j, "data-value": b, "aria-label": shown(map.bias, [j]) + " = " + fmt(b) }), () => { S.pick = { kind: "weight", name: map.bias, index: [j] }; draw(); }));
        if (c.count <= 3 || incident(k, j)) svg.append(sv("text", { class: "tiny halo", x: x + 16 + .6 * (WIDE - 38), y: y + .6 * (Y(k, j) - y) + 3, "text-anchor": "middle" }, fmt(b, 3)));
      }
      svg.append(sv("g", {}, sv("rect", { x: x - 16, y: y - 13, width: 32, height: 26, rx: 6, fill: "var(--card)", stroke: "var(--soft)" }), sv("text", { class: "small", x, y: y + 4, "text-anchor": "middle" }, "+1")));
    }
  });
  columns.forEach((c, k) => {
    const name = back ? deltaName(c) : c.out, values = name && array(name) ? range(c.count).map(j => here(name, [j])) : range(c.count).map(() => 0), top = largest(values);
    svg.append(sv("text", { class: "caption", x: X(k), y: 20, "text-anchor": "middle" }, c.kind === "input" ? c.label : c.label + " " + c.kind));
    if (c.count > FOLD) return svg.append(folded(c, k, values, top, X(k), Y(k, -0.4), rows[k] * GAP - 12));
    for (const j of range(c.count)) {
      const picked = S.pick && S.pick.kind === "unit" && S.pick.column === k && S.pick.j === j, y = Y(k, j), delta = deltaName(c);
      const node = sv("g", { class: "node" + (picked ? " picked" : ""), tabindex: 0, role: "button", "data-node": c.label + ":" + j, "aria-label": nodeText(c, j, back) },
        sv("circle", { cx: X(k), cy: y, r: 23, fill: "var(--card)" }), sv("circle", { cx: X(k), cy: y, r: 23, fill: sign(values[j]), "fill-opacity": .08 + .55 * Math.abs(values[j]) / top }),
        sv("text", { class: "small", x: X(k), y: y + (back ? -1 : 4), "text-anchor": "middle" }, inNode(here(c.out, [j]))));
      if (delta && array(delta)) node.append(sv("text", { class: "tiny", x: X(k), y: y + (back ? 12 : 35), "text-anchor": "middle", "fill-opacity": back ? 1 : .75 }, (D.names[delta].role === "delta" ? "δ " : "∂ ") + fmt(here(delta, [j]), back ? 2 : 3)));
      const named = c.kind === "input" ? D.features && D.features[j] : k === columns.length - 1 ? D.classes && D.classes[j] : null;
      if (named) node.append(sv("text", { class: "tiny", x: X(k), y: y - 28, "text-anchor": "middle" }, named.length > 16 ? named.slice(0, 15) + "…" : named));
      svg.append(press(node, () => { S.pick = { kind: "unit", column: k, j }; draw(); }));
    }
  });
  return svg;
}
function folded(c, k, values, top, x, y, high) {
  const across = Math.ceil(Math.sqrt(Math.min(c.count, 1024))), shownCount = Math.min(c.count, 1024), down = Math.ceil(shownCount / across), size = Math.min(78 / across, (high - 20) / down);
  const g = sv("g", { role: "group", "aria-label": c.label + ": " + say("folded", c.count) }), left = x - size * across / 2, head = y + (high - size * down) / 2;
  g.append(sv("rect", { x: left - 3, y: head - 3, width: size * across + 6, height: size * down + 6, rx: 4, fill: "var(--card)", stroke: "var(--soft)" }));
  for (const j of range(shownCount)) {
    const picked = S.pick && S.pick.kind === "unit" && S.pick.column === k && S.pick.j === j;
    const cell = sv("rect", { x: left + size * (j % across), y: head + size * Math.floor(j / across), width: size, height: size, fill: sign(values[j]), "fill-opacity": .04 + .9 * Math.abs(values[j]) / top });
    const node = sv("g", { class: "node" + (picked ? " picked" : ""), "data-node": c.label + ":" + j, role: "button", tabindex: j === (S.pick && S.pick.column === k ? S.pick.j : 0) ? 0 : -1, "aria-label": shownCount > 200 ? unitName(c, j) : nodeText(c, j) }, cell);
    cell.style.strokeWidth = picked ? "2.5" : ".2";
    g.append(press(node, () => { S.pick = { kind: "unit", column: k, j }; draw(); }));
  }
  g.append(sv("text", { class: "tiny", x, y: head + size * down + 16, "text-anchor": "middle" }, say("folded", c.count)));
  return g;
}

// ------------------------------------------------------------------------------------------------ recurrent networks, unrolled
function drawUnrolled() {
  const T = D.extents.T, show = Math.min(T, 12), start = Math.max(0, Math.min(T - show, S.t - 6)), columns = D.columns, back = backward(), W = 92, H = 74;
  const width = 110 + W * show, height = 34 + H * columns.length, svg = sv("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": say("unrolled") });
  const X = t => 96 + W * (t - start), Y = k => height - 54 - H * k;
  const arrow = (x1, y1, x2, y2, strong, name) => { const a = Math.atan2(y2 - y1, x2 - x1), head = [2.6, -2.6].map(d => `${x2 + 8 * Math.cos(a + d)} ${y2 + 8 * Math.sin(a + d)}`);
    const path = sv("path", { class: "edge", d: `M${x1} ${y1}L${x2} ${y2}M${head[0]}L${x2} ${y2}L${head[1]}`, stroke: back ? "var(--neg)" : "var(--pos)", "stroke-width": 1.2 + 3 * strong, "stroke-opacity": .35 + .6 * strong });
    if (name) { path.setAttribute("tabindex", 0); path.setAttribute("role", "button"); path.setAttribute("aria-label", say("open_heat", name)); press(path, () => { S.heat.name = name; S.heat.open = true; S.heat.cell = null; S.heat.at = [0, 0]; draw(); }); }
    svg.append(path); };
  columns.forEach((c, k) => {
    svg.append(sv("text", { class: "small", x: 4, y: Y(k) + 4 }, c.label + (c.loops.length ? " ↻" : "")));
    const name = back ? deltaName(c) : c.out, norms = range(T).map(t => name && array(name) ? Math.sqrt(range(c.count).reduce((s, j) => s + here(name, [j], { t }) ** 2, 0)) : 0), top = largest(norms);
    for (let t = start; t < start + show; t++) {
      if (!c.time && t !== T - 1) continue;
      const up = columns[k + 1];
      if (up && (up.time || t === T - 1)) back ? arrow(X(t), Y(k + 1) + 19, X(t), Y(k) - 19, .3, up.maps[0]?.weight) : arrow(X(t), Y(k) - 19, X(t), Y(k + 1) + 19, .3, up.maps[0]?.weight);
      if (c.loops.length && t + 1 < start + show) back ? arrow(X(t + 1) - 36, Y(k), X(t) + 36, Y(k), norms[t + 1] / top, c.loops[0].weight) : arrow(X(t) + 36, Y(k), X(t + 1) - 36, Y(k), .3, c.loops[0].weight);
      const bins = Math.min(c.count, 16), values = range(bins).map(b => here(name || c.out, [Math.floor(b * c.count / bins)], { t })), high = largest(values);
      const picked = t === S.t && S.pick && S.pick.kind === "unit" && S.pick.column === k, masked = D.lengths && t >= D.lengths[S.n];
      const node = sv("g", { class: "node" + (picked ? " picked" : ""), tabindex: 0, role: "button", "data-cell": c.label + "@" + t, opacity: masked ? .35 : 1, "aria-label": `${c.label}, ${say("time")} ${t + 1}, ${back ? "‖δ‖" : "‖a‖"} = ${fmt(norms[t])}` + (masked ? ", " + say("masked") : "") },
        sv("rect", { x: X(t) - 34, y: Y(k) - 17, width: 68, height: 34, rx: 6, fill: t === S.t ? "var(--mark)" : "var(--card)" }));
      values.forEach((v, b) => node.append(sv("rect", { x: X(t) - 30 + 60 * b / bins, y: Y(k) - 13, width: Math.max(1, 60 / bins - 1), height: 14, fill: sign(v), "fill-opacity": .06 + .9 * Math.abs(v) / high, "stroke-width": 0, stroke: "none" })));
      node.append(sv("text", { class: "tiny", x: X(t), y: Y(k) + 13, "text-anchor": "middle" }, (back ? "‖δ‖ " : "‖a‖ ") + fmt(norms[t], 2)));
      svg.append(press(node, () => { S.t = t; S.pick = { kind: "unit", column: k, j: S.pick && S.pick.kind === "unit" && S.pick.column === k ? S.pick.j : 0 }; draw(); }));
    }
  });
  for (let t = start; t < start + show; t++) svg.append(sv("text", { class: "small", x: X(t), y: height - 6, "text-anchor": "middle" }, "t = " + (t + 1)));
  return svg;
}

// ------------------------------------------------------------------------------------------------ the computational graph
function drawGraph() {
  const forward = D.lines.filter(l => l.of === null && l.free.some(a => l.axes[a][1] === "sample")), line = D.lines[S.line];
  const quantities = [{ name: D.columns[0].out, line: null }, ...forward.map(l => ({ name: l.name, line: l }))], W = 142, H = 62, MOST = 6;
  quantities.forEach(q => { const meta = D.names[q.name], unit = [...meta.axes].reverse().find(a => a[1] === "unit"); q.unit = unit ? unit[0] : null; q.count = unit ? unit[2] : 1;
    const column = D.columns.findIndex(c => c.unit === q.unit), chosen = unitsOf(S.pick)[q.unit];
    q.units = q.count <= MOST ? range(q.count) : [...new Set([...range(MOST - 1), chosen === undefined || chosen < MOST - 1 ? MOST - 1 : chosen])]; q.column = column; });
  const tall = Math.max(...quantities.map(q => q.units.length)), width = W * quantities.length + 10, height = tall * H + 70, svg = sv("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": say("view_graph") });
  const X = k => 10 + W * k, Y = (k, r) => 44 + H * ((tall - quantities[k].units.length) / 2 + r), reads = tree => !Array.isArray(tree) ? [] : tree[0] === "sym" ? [tree[1]] : tree.flatMap(reads);
  quantities.forEach((q, k) => { if (!q.line) return;
    const read = new Set(q.line.sides.flatMap(s => reads(s.tree)));
    quantities.forEach((p, m) => { if (m >= k || !read.has(p.name)) return;
      const single = q.unit === p.unit && q.line.role !== "pre_activation" && q.line.rules[0].every(r => !r.startsWith("softmax")), map = D.columns.flatMap(c => c.maps).find(e => e.target === q.name);
      p.units.forEach((i, a) => q.units.forEach((j, b) => { if (single && i !== j) return;
        const w = map && !single && array(map.weight) ? at(map.weight, [i, j]) : null, d = `M${X(m) + 112} ${Y(m, a) + 22}C${X(m) + 130} ${Y(m, a) + 22} ${X(k) - 18} ${Y(k, b) + 22} ${X(k)} ${Y(k, b) + 22}`;
        const path = sv("path", { class: "edge", d, stroke: w === null ? "var(--soft)" : sign(w), "stroke-width": w === null ? 1.2 : 1.6, "stroke-opacity": .6 });
        svg.append(w === null ? path : press(path, () => { S.pick = { kind: "weight", name: map.weight, index: [i, j] }; draw(); }));
      })); }); });
  quantities.forEach((q, k) => {
    const adjoint = q.name === "E" ? null : D.adjoints[q.name];
    svg.append(sv("text", { class: "caption", x: X(k) + 56, y: 18, "text-anchor": "middle" }, D.names[q.name].shown + (q.units.length < q.count ? " (" + q.count + ")" : "")));
    q.units.forEach((j, r) => {
      const value = here(q.name, q.unit ? [j] : []), slope = q.name === "E" ? 1 : adjoint ? here(adjoint, q.unit ? [j] : []) : NaN, units = unitsOf(S.pick);
      const picked = S.pick && (S.pick.graph === q.name || !S.pick.graph) && S.pick.kind !== "weight" && q.unit !== null && units[q.unit] === j || S.pick && S.pick.graph === q.name && q.unit === null;
      const label = shown(q.name, q.unit ? [j] : []), x = X(k), y = Y(k, r);
      svg.append(press(sv("g", { class: "node" + (picked ? " picked" : ""), tabindex: 0, role: "button", "data-quantity": q.name + ":" + j, "aria-label": `${label} = ${fmt(value)}. ` + (Number.isNaN(slope) ? "" : say("sensitivity", label, fmt(slope))) },
        sv("rect", { x, y, width: 112, height: 44, rx: 7, fill: q.line === line || D.adjoints[q.name] === line.name ? "var(--mark)" : "var(--card)" }), sv("line", { x1: x + 48, x2: x + 107, y1: y + 22, y2: y + 22, stroke: "var(--line)" }),
        sv("text", { class: "small", x: x + 5, y: y + 26 }, label.length > 7 ? label.slice(0, 7) + "…" : label), sv("text", { class: "small", x: x + 107, y: y + 16, "text-anchor": "end" }, fmt(value, 4)),
        sv("text", { class: "small", x: x + 107, y: y + 37, "text-anchor": "end", style: null, "fill-opacity": Number.isNaN(slope) ? .5 : 1 }, Number.isNaN(slope) ? "—" : fmt(slope, 4))),
        () => { S.pick = q.column >= 0 ? { kind: "unit", column: q.column, j, graph: q.name } : { kind: "axis", units: {}, graph: q.name }; const at_ = D.lines.indexOf(q.line); if (at_ >= 0) S.line = at_; draw(); }));
    });
  });
  return svg;
}
function graphPanel() {
  const name = S.pick.graph, meta = D.names[name], units = meta.axes.some(a => a[1] === "unit") ? [S.pick.j ?? 0] : [], label = shown(name, units), box = el("div", { "data-graph": name });
  const slope = name === "E" ? 1 : D.adjoints[name] ? here(D.adjoints[name], units) : NaN;
  box.append(el("h2", {}, label), el("p", {}, say("value") + " = ", el("b", { "data-fact": name, "data-value": String(here(name, units)) }, fmt(here(name, units), 6))), sensitivity(name, units, label) || "");
  for (const line of D.lines) if (line.name === name || line.of === name) { box.append(el("h3", {}, `(${line.number}) ` + rule(line)), substituted(line, unitsOf(S.pick))); const t = termTable(line, unitsOf(S.pick)); if (t) box.append(t); }
  return box;
}

// ------------------------------------------------------------------------------------------------ heat maps
function heatPart() {
  const H = S.heat, names = Object.keys(D.names).filter(n => D.names[n].role === "parameter" && array(n)), part = el("details", { class: "card", id: "heat" });
  part.open = H.open;
  part.addEventListener("toggle", () => { if (H.open !== part.open) { H.open = part.open; draw(); } });
  part.append(el("summary", {}, say("matrices")));
  if (!H.open || !names.length) return part;
  if (!names.includes(H.name)) H.name = names[0];
  const next = S.k + 1 < D.snapshots.length, gradient = D.lines.find(l => l.of === H.name && l.role === "gradient"), hasGradient = gradient && array(gradient.name);
  const what = { w: say("edge_w"), ...(hasGradient ? { g: say("edge_g") } : {}), ...(next ? { c: say("change") } : {}) };
  if (!what[H.what]) H.what = "w";
  const a = array(H.name), rows = a.shape.length > 1 ? a.shape[0] : 1, columns = a.shape[a.shape.length - 1];
  H.cell = H.cell || Math.max(1, Math.min(26, Math.floor(560 / columns), Math.floor(420 / rows)));
  const value = (i, j) => { const p = a.shape.length > 1 ? [i, j] : [j]; return H.what === "w" ? at(H.name, p) : H.what === "g" ? at(gradient.name, p) : at(H.name, p, S.k + 1) - at(H.name, p); };
  const canvas = el("canvas", { width: columns * H.cell, height: rows * H.cell, tabindex: 0, role: "application", id: "map" }), pen = canvas.getContext("2d"), css = getComputedStyle(document.documentElement);
  const colour = { p: css.getPropertyValue("--pos"), n: css.getPropertyValue("--neg"), a: css.getPropertyValue("--accent"), b: css.getPropertyValue("--card") };
  let top = 0;
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) top = Math.max(top, Math.abs(value(i, j)));
  const note = el("p", { class: "sub", "aria-live": "polite" });
  const paint = () => {
    pen.globalAlpha = 1; pen.fillStyle = colour.b; pen.fillRect(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) { const v = value(i, j); pen.globalAlpha = top ? Math.abs(v) / top : 0; pen.fillStyle = v < 0 ? colour.n : colour.p; pen.fillRect(j * H.cell, i * H.cell, H.cell, H.cell); }
    pen.globalAlpha = 1; pen.strokeStyle = colour.a; pen.lineWidth = 2; pen.strokeRect(H.at[1] * H.cell, H.at[0] * H.cell, H.cell, H.cell);
    const index = a.shape.length > 1 ? H.at : [H.at[1]], text = `${shown(H.name, index)}: ${what[H.what]} = ${fmt(value(...H.at), 6)}`;
    clear(note).append(text); canvas.setAttribute("aria-label", say("heat_help") + " " + text);
  };
  const go = (i, j) => { H.at = [Math.max(0, Math.min(rows - 1, i)), Math.max(0, Math.min(columns - 1, j))]; paint(); }, choose = () => { S.pick = { kind: "weight", name: H.name, index: a.shape.length > 1 ? [...H.at] : [H.at[1]] }; draw(); };
  canvas.addEventListener("click", e => { const r = canvas.getBoundingClientRect(); go(Math.floor((e.clientY - r.top) / H.cell), Math.floor((e.clientX - r.left) / H.cell)); choose(); });
  canvas.addEventListener("keydown", e => { const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    if (move) { e.preventDefault(); e.stopPropagation(); go(H.at[0] + move[0], H.at[1] + move[1]); } else if (e.key === "Enter") { e.preventDefault(); choose(); } });
  const zoom = f => { const most = Math.floor(8000 / Math.max(rows, columns)); H.cell = Math.max(1, Math.min(most, 40, f > 1 ? Math.ceil(H.cell * f) : Math.floor(H.cell * f))); draw(); };
  const pick = (label, options, chosen, then) => el("label", {}, label, el("select", { "aria-label": label, value: chosen, on: { change: e => then(e.target.value) } }, ...Object.entries(options).map(([v, t]) => { const o = el("option", { value: v }, t); o.selected = v === chosen; return o; })));
  const scroll = el("div", { class: "scroll" }, canvas); scroll.style.maxHeight = "460px"; scroll.style.overflow = "auto";
  part.append(el("div", { class: "bar" }, pick(say("gate"), Object.fromEntries(names.map(n => [n, D.names[n].shown])), H.name, v => { H.name = v; H.at = [0, 0]; H.cell = null; draw(); }), pick(say("quantity"), what, H.what, v => { H.what = v; draw(); }),
    el("button", { type: "button", id: "zoom-in", on: { click: () => zoom(1.6) } }, "+ " + say("zoom_in")), el("button", { type: "button", id: "zoom-out", on: { click: () => zoom(.6) } }, "− " + say("zoom_out"))), note, scroll, el("p", { class: "note" }, say("heat_help")));
  paint();
  return part;
}

// ------------------------------------------------------------------------------------------------ the page
let timer = null;
function slider(id, label, value, most, text, then) {
  const range_ = el("input", { type: "range", min: 0, max: most, step: 1, id, value, "aria-label": label, "aria-valuetext": text, on: { input: e => { then(+e.target.value); draw(); } } });
  range_.max = most; range_.value = value;
  return el("label", {}, label, range_, el("output", { id: id + "-text" }, text));
}
function go(step) { S.line = Math.max(0, Math.min(D.lines.length - 1, step)); draw(); }
function draw() {
  const app = document.getElementById("app"), focus = document.activeElement, held = focus && (focus.id ? "#" + focus.id : ["data-node", "data-edge", "data-cell", "data-quantity"].filter(a => focus.getAttribute && focus.getAttribute(a)).map(a => `[${a}="${CSS.escape(focus.getAttribute(a))}"]`)[0]);
  const left = [...document.querySelectorAll(".scroll[data-keep]")].map(e => [e.dataset.keep, e.scrollLeft, e.scrollTop]);
  document.documentElement.lang = S.lang === "zh" ? "zh-CN" : "en";
  const line = D.lines[S.line], snap = D.snapshots[S.k], when = snap.when === "now" ? say("now") : snap.when === 0 ? say("start") : String(snap.when);
  const toggle = (id, on, text, f) => el("button", { type: "button", id, "aria-pressed": String(on), on: { click: f } }, text);
  clear(app);
  app.append(el("header", {}, el("div", {}, el("h1", {}, document.title), el("p", { class: "soft" }, say("about"), " ", el("span", {}, "loss " + D.loss))),
    el("div", { class: "tools" }, el("button", { type: "button", id: "language", on: { click: () => { S.lang = S.lang === "zh" ? "en" : "zh"; draw(); } } }, say("language")),
      el("button", { type: "button", id: "theme", on: { click: () => { const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; root.dataset.theme = dark ? "light" : "dark"; draw(); } } }, say("theme")))));
  for (const [key, a, b] of D.notes) app.append(el("p", { class: "note", role: "note" }, say(key, a, b)));
  const bar = el("div", { class: "card bar" });
  if (D.samples > 1) bar.append(slider("sample", say("sample"), S.n, D.samples - 1, say("row", D.rows[S.n]), v => S.n = v));
  if (D.snapshots.length > 1) bar.append(slider("epoch", say("epoch"), S.k, D.snapshots.length - 1, when, v => S.k = v)); else if (snap.when !== "now") bar.append(el("span", {}, say("epoch") + " " + when));
  if (D.extents.T) bar.append(slider("time", say("time"), S.t, D.extents.T - 1, say("of", S.t + 1, D.extents.T), v => S.t = v));
  const target = D.names.y, objective = D.names.J ? "J" : "L";
  bar.append(el("span", {}, say("loss") + " ", el("b", { "data-fact": "E", "data-value": String(here("E")) }, fmt(here("E")))), el("span", {}, say("objective") + " ", el("b", {}, fmt(here(objective)))));
  if (target && array("y")) { const width = target.axes.filter(a => a[1] === "unit").reduce((s, a) => s * a[2], 1), values = range(Math.min(width, 8)).map(j => here("y", [j]));
    bar.append(el("span", {}, say("target") + " ", el("b", {}, width === 1 && D.classes && Number.isInteger(values[0]) && D.classes[values[0]] !== undefined && D.lines.every(l => l.role !== "sample_loss" || true) && target.axes.every(a => a[1] !== "unit") ? D.classes[values[0]] : values.map(v => fmt(v)).join(", ") + (width > 8 ? " …" : "")))); }
  app.append(bar);
  const stepper = el("div", { class: "card" });
  stepper.append(el("div", { class: "bar" }, el("button", { type: "button", id: "back", on: { click: () => go(S.line - 1) } }, "◂ " + say("back")), el("button", { type: "button", id: "next", on: { click: () => go(S.line + 1) } }, say("next") + " ▸"),
    el("button", { type: "button", id: "play", on: { click: () => { if (timer) { clearInterval(timer); timer = null; } else timer = setInterval(() => { if (S.line + 1 >= D.lines.length) { clearInterval(timer); timer = null; } go(S.line + 1); }, 1600); draw(); } } }, say(timer ? "pause" : "play")),
    slider("line", say("step"), S.line, D.lines.length - 1, say("of", S.line + 1, D.lines.length) + " · " + say(line.of === null ? "forward" : "backward"), v => S.line = v)), el("p", { class: "hidden", "aria-live": "polite" }, `(${line.number}) ` + rule(line)), linePanel());
  const picture = el("div", { class: "card" });
  const tools = el("div", { class: "bar" }, toggle("view-network", S.view === "network", say("view_network"), () => { S.view = "network"; draw(); }), toggle("view-graph", S.view === "graph", say("view_graph"), () => { S.view = "graph"; draw(); }));
  if (S.view === "network") {
    tools.append(el("label", {}, say("edges"), el("select", { id: "edges", "aria-label": say("edges"), on: { change: e => { S.edges = e.target.value; draw(); } } }, ...["w", "wa", "wd", "g"].map(v => { const o = el("option", { value: v }, say("edge_" + v)); o.selected = v === S.edges; return o; }))));
    D.columns.forEach((c, k) => { if (c.maps.length > 1) tools.append(el("label", {}, c.label, el("select", { "aria-label": say("gate") + " " + c.label, on: { change: e => { S.gate[k] = +e.target.value; draw(); } } }, ...c.maps.map((m, v) => { const o = el("option", { value: v }, D.names[m.weight].shown); o.selected = v === (S.gate[k] || 0); return o; })))); });
  }
  picture.append(tools);
  if (D.extents.T && S.view === "network") picture.append(el("h3", {}, say("unrolled")), el("div", { class: "scroll", "data-keep": "time" }, drawUnrolled()), el("h3", {}, say("network") + ", t = " + (S.t + 1)));
  if (S.view === "graph") picture.append(el("p", { class: "note" }, say("value_above")));
  picture.append(el("div", { class: "scroll", "data-keep": "picture" }, S.view === "graph" ? drawGraph() : drawNetwork()), el("p", { class: "note" }, legend()));
  const detail = el("div", { class: "card", id: "detail", "aria-live": "polite" }, S.pick ? S.pick.kind === "weight" ? weightPanel(S.pick) : S.pick.graph && S.view === "graph" ? graphPanel() : S.pick.kind === "unit" ? unitPanel(S.pick) : "" : el("p", { class: "soft" }, say("about")));
  app.append(el("div", { class: "two" }, el("div", { class: "left" }, picture, heatPart()), el("div", {}, stepper, detail)));
  const list = el("ol", { class: "lines" });
  D.lines.forEach((l, k) => { const b = el("button", { type: "button", "aria-current": String(k === S.line), "aria-label": `(${l.number}) ` + rule(l), on: { click: () => go(k) } }, el("span", { class: "k" }, `(${l.number})`)); b.append(FORMULAS.children[k].firstElementChild.cloneNode(true)); list.append(el("li", {}, b)); });
  app.append(el("details", { class: "card", id: "all" }, el("summary", {}, say("equations")), list), el("p", { class: "note" }, say("keys")));
  const all = document.getElementById("all"); all.open = !!S.all; all.addEventListener("toggle", () => S.all = all.open);
  left.forEach(([key, x, y]) => { const e = document.querySelector(`.scroll[data-keep=${key}]`); if (e) { e.scrollLeft = x; e.scrollTop = y; } });
  if (held) { const again = document.querySelector(held); if (again) again.focus({ preventScroll: true }); }
}
function legend() {
  const dot = c => { const s = el("span", {}, "■ "); s.style.color = c; return s; };
  return el("span", {}, dot("var(--pos)"), say("positive"), "  ", dot("var(--neg)"), say("negative"));
}
document.addEventListener("keydown", e => {
  if (e.target.matches && e.target.matches("input, select, textarea, canvas") || e.ctrlKey || e.metaKey || e.altKey) return;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (!step) return;
  e.preventDefault();
  if (e.shiftKey) { S.n = Math.max(0, Math.min(D.samples - 1, S.n + step)); draw(); } else go(S.line + step);
});
{ const k = D.columns.findIndex(c => c.kind !== "input"); S.pick = { kind: "unit", column: Math.max(0, k), j: 0 }; }
draw();
