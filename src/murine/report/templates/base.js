// What the other scripts stand on: the document, and names and numbers as text.
// Names come from users' data. They reach the document as text, never as markup, and plotly, which reads some
// markup in its texts, only through `plain`.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const missing = (value) => value === null || value === undefined;
const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212"));
const short = (text, n) => {
  if (text.length <= n) return text;
  const tail = Math.floor((n - 1) * 0.55);
  return text.slice(0, n - 1 - tail) + "\u2026" + text.slice(text.length - tail);
};
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const boards = new Map(); // article -> what its charts show

const unit = (data) =>
  data.ceiled
    ? { by: 100, digits: 1, sign: " %", name: "Score, % of ceiling" }
    : { by: 1, digits: 3, sign: "", name: "Score (raw: no ceiling)" };
const told = (data, value) => {
  const { by, digits } = unit(data);
  return missing(value) ? "\u2013" : minus((value * by).toFixed(digits));
};
const interval = (data, low, high) => (missing(low) ? "" : ` [${told(data, low)}, ${told(data, high)}]`);
const raw = (value, digits = 3) => (missing(value) ? "\u2013" : minus(value.toFixed(digits)));
// Text of a hover label: `title` is escaped here, the other lines by those who write them.
const label = (title, ...lines) => [`<b>${plain(title)}</b>`, ...lines.filter(Boolean)].join("<br>");
const pText = (p) => (missing(p) ? "p not computed" : p < 0.001 ? "p &lt; 0.001" : `p = ${p.toFixed(3)}`);
const decoded = (rows) => {
  const columns = {};
  for (const [name, values] of Object.entries(rows)) {
    columns[name] = Array.isArray(values) ? values : values.codes.map((code) => values.levels[code]);
  }
  return columns;
};
