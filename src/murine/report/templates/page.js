// The page: tables that sort and filter, the download, tabs and addresses; then everything is set going.

// Tables

const markBands = (table) => {
  const sorted = one("thead [aria-sort]:not([aria-sort=none])", table);
  const ranked = !sorted || [0, 4].includes(sorted.cellIndex);
  let last = null;
  for (const row of one("tbody", table).rows) {
    if (row.hidden) continue;
    row.classList.toggle("first", ranked && row.dataset.band !== last);
    last = row.dataset.band;
  }
};
const sortable = (table) => {
  const body = one("tbody", table);
  all("th[data-sort]", table).forEach((head) => {
    const button = element("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.dataset.sort === "number";
      const now = head.getAttribute("aria-sort");
      const down = now ? now === "ascending" : numeric && head.cellIndex > 0;
      all("th[data-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[head.cellIndex].dataset.v;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === y) return Number(b.cells[4].dataset.v) - Number(a.cells[4].dataset.v); // then by score
        // What has no number comes last.
        if (numeric && (x === "" || y === "")) return (x === "") - (y === "");
        return (
          (numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true })) * (down ? -1 : 1)
        );
      };
      body.append(...[...body.rows].sort(compare));
      markBands(table);
    });
  });
};
const filterable = (section) => {
  const table = one("table", section),
    find = one("[data-find]", section),
    boxes = all(".roles input", section),
    shown = one(".shown", section);
  const apply = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const roles = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const rows = [...one("tbody", table).rows];
    for (const row of rows) {
      const text = row.dataset.find.toLowerCase();
      row.hidden = !roles.has(row.dataset.role) || !words.every((word) => text.includes(word));
    }
    const n = rows.filter((row) => !row.hidden).length;
    shown.textContent =
      n === rows.length ? `${n} network${n === 1 ? "" : "s"}` : `${n} of ${rows.length} networks`;
    markBands(table);
  };
  [find, ...boxes].forEach((control) => control.addEventListener("input", apply));
  apply();
};

// Download

const csv = ({ data, rows }) => {
  const names = Object.keys(rows).filter((name) => name !== "entry");
  const above = rows.ceiled.map((value) => (missing(value) ? null : value > 1));
  const about = ["network", "weights", "role", "input_size", "network_digest"];
  const quoted = (value) =>
    missing(value)
      ? ""
      : /[",\n\r]/.test(String(value))
        ? `"${String(value).replace(/"/g, '""')}"`
        : String(value);
  const lines = [["cortex", "metric", ...about, ...names, "above_ceiling"]];
  for (let k = 0; k < rows.entry.length; k++) {
    const network = data.networks[rows.entry[k]];
    lines.push([
      data.cortex,
      data.metric,
      ...about.map((name) => network[name]),
      ...names.map((name) => rows[name][k]),
      above[k],
    ]);
  }
  return lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
};
const download = (name, text) => {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};

// Tabs and addresses

const tabs = all(".tabs a");
const select = (article, focus) => {
  for (const other of boards.keys()) other.hidden = other !== article;
  for (const tab of tabs) {
    const mine = tab.hash === "#" + article.id;
    tab.setAttribute("aria-selected", String(mine));
    tab.tabIndex = mine ? 0 : -1;
    if (mine && focus) tab.focus();
  }
  drawBoard(article);
};
const follow = () => {
  const target =
    location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  const article = target && target.closest(".board");
  if (!article) return;
  if (article.hidden) select(article, false);
  const details = target.closest("details");
  if (details) details.open = true;
  if (target !== article) (details || target).scrollIntoView();
};

const start = () => {
  for (const article of all(".board")) {
    const data = JSON.parse(one("script.data", article).textContent);
    const state = { data, rows: decoded(data.rows) };
    boards.set(article, state);
    all(".controls[data-useful]", article).forEach((controls) => {
      controls.hidden = false;
    });
    prepareDepth(article, state);
    prepareTwins(article, state);
    all("table.sortable", article).forEach(sortable);
    all("section", article)
      .filter((section) => one("[data-find]", section))
      .forEach(filterable);
    all("[data-csv]", article).forEach((button) =>
      button.addEventListener("click", () => download(button.dataset.csv, csv(state))),
    );
  }
  if (tabs.length) {
    one(".tabs").setAttribute("role", "tablist");
    tabs.forEach((tab, i) => {
      const article = document.getElementById(tab.hash.slice(1));
      tab.setAttribute("role", "tab");
      tab.id = article.id + "-tab";
      tab.setAttribute("aria-controls", article.id);
      article.setAttribute("role", "tabpanel");
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        history.replaceState(null, "", tab.hash);
        select(article, false);
      });
      tab.addEventListener("keydown", (event) => {
        const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        select(document.getElementById(tabs[(to + tabs.length) % tabs.length].hash.slice(1)), true);
      });
    });
  }
  const first = boards.keys().next().value;
  if (tabs.length) select(first, false);
  else drawVisible();
  follow();
  addEventListener("hashchange", follow);
  let width = innerWidth,
    waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // phones resize vertically whenever their address bar moves
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawVisible, 150);
  });
  dark.addEventListener("change", drawVisible);
  // Paper is light and shows every board.
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    for (const article of boards.keys()) {
      article.dataset.was = article.hidden ? "hidden" : "";
      article.hidden = false;
      drawBoard(article);
    }
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    for (const article of boards.keys()) article.hidden = article.dataset.was === "hidden";
    drawVisible();
  });
};

start();
