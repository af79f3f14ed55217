// The four charts of a board. Each function draws into its element, in the colours of `look`.

const dark = matchMedia("screen and (prefers-color-scheme: dark)");
const theme = () => {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const list = (name) =>
    colour(name)
      .split(",")
      .map((c) => c.trim());
  const names = [
    "ground",
    "surface",
    "raised",
    "ink",
    "quiet",
    "line",
    "line-strong",
    "trained",
    "random",
    "control",
  ];
  const heat = list("heat");
  return {
    ...Object.fromEntries(names.map((name) => [name, colour(name)])),
    "as built": colour("as-built"),
    sans: colour("sans"),
    hues: list("hues"),
    heat: heat.map((c, i) => [i / (heat.length - 1), c]),
  };
};
const SYMBOL = { trained: "circle", "as built": "triangle-up", random: "diamond", control: "square" };
const role = (network) => (Object.hasOwn(SYMBOL, network.role) ? network.role : "control");

const draw = (chart, traces, layout, look, height, width) => {
  const font = { family: look.sans, size: 12, color: look.ink };
  const full = {
    font,
    height,
    width,
    dragmode: false,
    hovermode: "closest",
    showlegend: false,
    paper_bgcolor: look.surface,
    plot_bgcolor: look.surface,
    hoverlabel: {
      bgcolor: look.raised,
      bordercolor: look["line-strong"],
      font: { ...font, size: 13 },
      align: "left",
    },
    ...layout,
  };
  const config = {
    displaylogo: false,
    responsive: false,
    modeBarButtons: [["toImage"]],
    toImageButtonOptions: { format: "svg", filename: chart.id },
  };
  return Plotly.react(chart, traces, full, config);
};
const axis = (look, more = {}) => ({
  fixedrange: true,
  zeroline: false,
  gridcolor: look.line,
  linecolor: look["line-strong"],
  tickcolor: look["line-strong"],
  ticks: "",
  automargin: true,
  ...more,
});
const legend = {
  orientation: "h",
  x: 0,
  xanchor: "left",
  y: 1,
  yanchor: "bottom",
  itemclick: false,
  itemdoubleclick: false,
  bgcolor: "rgba(0,0,0,0)",
};
// When the browser announces a print, the page still has the width of the screen.
const printing = () => document.documentElement.classList.contains("printing");
const span = (chart) => (printing() ? 690 : chart.clientWidth);
const isNarrow = (chart) => {
  const narrow = span(chart) < 560;
  chart.classList.toggle("narrow", narrow); // its key is HTML then: plotly's legend would squeeze the plot
  return narrow;
};
// Room for names at the left, in the font of tick labels.
const room = (names, narrow, limit) =>
  Math.max(...names.map((name) => Math.min(name.length, limit))) * (narrow ? 6 : 6.8) + 22;
const tickNames = (names, narrow) => names.map((name) => plain(short(name, narrow ? 17 : 42)));

// Ranking

const bandsOf = (networks) => {
  const bands = [];
  networks.forEach((network, i) => {
    const last = bands[bands.length - 1];
    if (last && last.band === network.band) last.end = i;
    else bands.push({ band: network.band, start: i, end: i });
  });
  return bands;
};

const ranking = (chart, { data }, look) => {
  const width = span(chart),
    narrow = isNarrow(chart);
  const networks = data.networks.filter((network) => network.band > 0);
  const { by, sign, name } = unit(data);
  const step = networks.length > 80 ? 15 : networks.length > 30 ? 19 : 26;
  const height = networks.length * step + 110;
  const long = height > 1100; // seen through a box that scrolls: the axis stands where one looks first
  chart.classList.toggle("long", long);
  const traces = Object.keys(SYMBOL).map((kind) => {
    const mine = networks
      .map((network, i) => ({ ...network, i }))
      .filter((network) => role(network) === kind);
    return {
      type: "scatter",
      mode: "markers",
      name: kind,
      showlegend: mine.length > 0,
      x: mine.map((m) => m.score[0] * by),
      y: mine.map((m) => m.i),
      error_x: {
        type: "data",
        symmetric: false,
        thickness: 2,
        width: 0,
        color: look[kind],
        array: mine.map((m) => (missing(m.score[2]) ? 0 : (m.score[2] - m.score[0]) * by)),
        arrayminus: mine.map((m) => (missing(m.score[1]) ? 0 : (m.score[0] - m.score[1]) * by)),
      },
      marker: {
        color: look[kind],
        symbol: SYMBOL[kind],
        size: step > 20 ? 9 : 7,
        line: { color: look.surface, width: 1 },
      },
      hovertemplate: "%{text}<extra></extra>",
      text: mine.map((m) =>
        label(
          m.label,
          told(data, m.score[0]) + sign + interval(data, m.score[1], m.score[2]),
          `raw ${raw(m.score[3])} · band ${m.band}`,
          plain([m.network, m.weights, m.input_size].join(" · ")),
        ),
      ),
    };
  });
  const bands = bandsOf(networks);
  const shapes = bands
    .filter((_, i) => i % 2 === 0)
    .map((band) => ({
      type: "rect",
      layer: "below",
      xref: "paper",
      x0: 0,
      x1: 1,
      y0: band.start - 0.5,
      y1: band.end + 0.5,
      line: { width: 0 },
      fillcolor: look.raised,
    }));
  const values = networks
    .flatMap((network) => network.score.slice(0, 3))
    .filter((v) => !missing(v))
    .map((v) => v * by);
  const low = Math.min(0, ...values),
    high = Math.max(data.ceiled ? 100 : 0, ...values);
  const air = (high - low) * 0.03;
  if (data.ceiled) {
    shapes.push({
      type: "line",
      xref: "x",
      yref: "paper",
      x0: 100,
      x1: 100,
      y0: 0,
      y1: 1,
      line: { color: look.quiet, width: 1, dash: "dot" },
    });
  }
  const annotations = (narrow ? [] : bands).map((band) => ({
    xref: "paper",
    x: 1,
    xanchor: "left",
    xshift: 6,
    y: (band.start + band.end) / 2,
    yanchor: "middle",
    showarrow: false,
    text: `band ${band.band}`,
    font: { size: 11, color: look.quiet },
  }));
  if (data.ceiled) {
    annotations.push({
      x: 100,
      xanchor: "right",
      yref: "paper",
      y: 1,
      yanchor: "bottom",
      yshift: long ? 44 : 0,
      showarrow: false,
      text: "noise ceiling",
      font: { size: 11, color: look.quiet },
    });
  }
  return draw(
    chart,
    traces,
    {
      margin: {
        l: room(
          networks.map((n) => n.label),
          narrow,
          narrow ? 17 : 42,
        ),
        r: narrow ? 22 : 62,
        t: long ? 88 : 38,
        b: long ? 22 : 56,
      },
      shapes,
      annotations,
      showlegend: !narrow,
      legend: long ? { ...legend, yref: "container", y: 1 - 8 / height, yanchor: "top" } : legend,
      xaxis: axis(look, {
        side: long ? "top" : "bottom",
        title: { text: name, standoff: 10, font: { size: 13 } },
        range: [low - air, high + air * (data.ceiled ? 0.5 : 3)],
        ticksuffix: sign,
      }),
      yaxis: axis(look, {
        range: [networks.length - 0.5, -0.5],
        showgrid: false,
        tickvals: networks.map((_, i) => i),
        ticktext: tickNames(
          networks.map((n) => n.label),
          narrow,
        ),
        tickfont: { size: step > 20 && !narrow ? 12 : 10.5 },
        ticklabelstandoff: 6,
        automargin: false,
      }),
    },
    look,
    height,
    width,
  );
};

// Heat map

const heat = (chart, { data, rows }, look) => {
  const networks = data.networks.filter((network) => network.band > 0);
  const { by, name } = unit(data);
  const narrow = isNarrow(chart);
  const place = new Map(data.sites.map((site, i) => [site.site, i]));
  const z = networks.map(() => data.sites.map(() => null)),
    text = networks.map(() => data.sites.map(() => ""));
  const hover = networks.map((network) =>
    data.sites.map((site) => label(network.label, `at ${plain(site.site)}`, "no score")),
  );
  const above = [];
  for (let k = 0; k < rows.entry.length; k++) {
    if (rows.stimuli[k] !== "all" || rows.chosen[k] !== data.selection || rows.entry[k] >= networks.length)
      continue;
    const i = rows.entry[k],
      j = place.get(rows.site[k]);
    const value = data.ceiled ? rows.ceiled[k] : rows.score[k];
    if (missing(value)) continue;
    z[i][j] = value * by;
    const over = data.ceiled && value > 1;
    if (over) above.push([i, j]);
    text[i][j] = data.ceiled ? minus((value * 100).toFixed(0)) : minus(value.toFixed(2));
    const ends = data.ceiled ? [rows.ceiled_low[k], rows.ceiled_high[k]] : [rows.low[k], rows.high[k]];
    const ceiling = [rows.ceiling[k], rows.ceiling_low[k], rows.ceiling_high[k]].map((v) => raw(v));
    hover[i][j] = label(
      networks[i].label,
      `at ${plain(rows.site[k])}`,
      data.ceiled && `${told(data, value)} % of ceiling${interval(data, ...ends)}`,
      `raw ${raw(rows.score[k])} [${raw(rows.low[k])}, ${raw(rows.high[k])}]`,
      missing(rows.ceiling[k]) ? "no ceiling" : `ceiling ${ceiling[0]} [${ceiling[1]}, ${ceiling[2]}]`,
      `layer ${plain(short(rows.layer[k], 60))}`,
      pText(rows.p_value[k]),
      over && "<b>above the ceiling</b>",
      !data.sites[j].counted && "site not counted: its ceiling is too low",
    );
  }
  // The range of colours is that of the sites that count: a site with hardly any ceiling would stretch it.
  const counted = z.flatMap((row) => row.filter((v, j) => v !== null && data.sites[j].counted));
  const low = Math.min(0, ...counted),
    high = Math.max(...counted, low + 1e-6);
  const areas = [];
  data.sites.forEach((site, j) => {
    const last = areas[areas.length - 1];
    if (last && last.area === site.area) last.end = j;
    else areas.push({ area: site.area, start: j, end: j });
  });
  const single = areas.every((area) => area.start === area.end && data.sites[area.start].label === area.area);
  const left = room(
    networks.map((n) => n.label),
    narrow,
    narrow ? 17 : 42,
  );
  const strip = 26,
    rest = left + strip + 90; // the strip of roles left of the first site
  const cell = Math.min(96, Math.max(printing() ? 12 : 26, (span(chart) - rest) / data.sites.length));
  const width = rest + cell * data.sites.length;
  const step = networks.length > 60 ? 17 : 26;
  const write = networks.length * data.sites.length <= 1500 && step > 20;
  const ground = networks.map(() => data.sites.map(() => 0));
  const traces = [
    {
      type: "heatmap",
      z: ground,
      hoverinfo: "skip",
      showscale: false,
      xgap: 1,
      ygap: 1,
      colorscale: [
        [0, look.raised],
        [1, look.raised],
      ],
    },
    {
      type: "heatmap",
      z,
      text,
      customdata: hover,
      hovertemplate: "%{customdata}<extra></extra>",
      hoverongaps: true,
      xgap: 1,
      ygap: 1,
      zmin: low,
      zmax: high,
      colorscale: look.heat,
      ...(write ? { texttemplate: "%{text}", textfont: { size: cell < 22 ? 8 : cell < 30 ? 10 : 11 } } : {}),
      showscale: networks.length > 3,
      colorbar: {
        thickness: 10,
        outlinewidth: 0,
        len: Math.min(1, 260 / (networks.length * step)),
        lenmode: "fraction",
        y: 1,
        yanchor: "top",
        title: { text: data.ceiled ? "% of<br>ceiling" : "raw<br>score", font: { size: 11 } },
        tickfont: { size: 11 },
      },
    },
  ];
  const gaps = z.flatMap((row, i) => row.flatMap((v, j) => (v === null ? [[i, j]] : [])));
  const marks = (cells, marker, offset) => ({
    type: "scatter",
    mode: "markers",
    hoverinfo: "skip",
    x: cells.map((c) => c[1] + offset[0]),
    y: cells.map((c) => c[0] + offset[1]),
    marker,
  });
  if (gaps.length)
    traces.push(marks(gaps, { symbol: "x-thin", size: 8, line: { width: 1.3, color: look.quiet } }, [0, 0]));
  if (above.length)
    traces.push(
      marks(
        above,
        { symbol: "triangle-up", size: 7, color: "#d55e00", line: { width: 1, color: "#fff" } },
        [0.36, -0.3],
      ),
    );
  // Roles stand left of the first site: colour and shape, as everywhere.
  for (const kind of Object.keys(SYMBOL)) {
    const mine = networks.flatMap((network, i) =>
      role(network) === kind ? [[i, -0.5 - strip / 2 / cell]] : [],
    );
    if (mine.length) traces.push(marks(mine, { symbol: SYMBOL[kind], size: 8, color: look[kind] }, [0, 0]));
  }
  const shapes = areas.slice(1).map((area) => ({
    type: "line",
    x0: area.start - 0.5,
    x1: area.start - 0.5,
    yref: "paper",
    y0: 0,
    y1: single ? 1 : 1 + 34 / (networks.length * step),
    line: { width: single ? 0 : 2, color: look.surface },
  }));
  data.sites.forEach((site, j) => {
    if (!site.counted)
      shapes.push({
        type: "rect",
        x0: j - 0.5,
        x1: j + 0.5,
        yref: "paper",
        y0: 0,
        y1: 1,
        line: { width: 0 },
        fillcolor: look.surface,
        opacity: 0.62,
      });
  });
  const annotations = single
    ? []
    : areas.map((area) => ({
        x: (area.start + area.end) / 2,
        yref: "paper",
        y: 1,
        yshift: 20,
        yanchor: "bottom",
        showarrow: false,
        text: plain(short(area.area, 24)),
        font: { size: 12, color: look.ink },
        textangle: (area.end - area.start + 1) * cell < area.area.length * 7.5 ? -35 : 0,
      }));
  const marked = data.sites.map(
    (site) => plain(short(single ? site.area : site.label, 18)) + (site.counted ? "" : " †"),
  );
  const longest = Math.max(...marked.map((mark) => mark.length));
  const tilt = longest * 7 > cell ? -90 : 0;
  const top = (tilt ? 18 + longest * 6.5 : 30) + (single ? 0 : 26);
  const height = networks.length * step + top + 24;
  chart.classList.toggle("long", height > 1100);
  return draw(
    chart,
    traces,
    {
      margin: { l: left, r: 86, t: top, b: 20 },
      shapes,
      annotations,
      xaxis: axis(look, {
        side: "top",
        range: [-0.5 - strip / cell, data.sites.length - 0.5],
        showgrid: false,
        tickvals: data.sites.map((_, j) => j),
        ticktext: marked,
        tickangle: tilt,
        showline: false,
        ticklabelstandoff: 4,
        tickfont: { size: 11 },
        automargin: false,
      }),
      yaxis: axis(look, {
        range: [networks.length - 0.5, -0.5],
        showgrid: false,
        showline: false,
        tickvals: networks.map((_, i) => i),
        ticktext: tickNames(
          networks.map((n) => n.label),
          narrow,
        ),
        tickfont: { size: step > 20 && !narrow ? 12 : 10.5 },
        automargin: false,
      }),
      title: { text: name, font: { size: 1, color: "rgba(0,0,0,0)" } },
    },
    look,
    height,
    width,
  );
};

// Score along depth

const CONTROL_SYMBOLS = ["square", "cross", "star", "hexagon"];
const strokes = (network, data, look) => {
  if (role(network) === "control") {
    const controls = data.networks.filter((n) => role(n) === "control");
    return {
      color: look.control,
      dash: "dot",
      symbol: CONTROL_SYMBOLS[controls.indexOf(network) % CONTROL_SYMBOLS.length],
    };
  }
  const round = Math.floor(network.family / look.hues.length);
  return {
    color: look.hues[network.family % look.hues.length],
    dash: role(network) === "random" ? "dash" : "solid",
    symbol: ["circle", "diamond", "triangle-up", "pentagon"][round % 4],
  };
};

const depth = (chart, state, look) => {
  const { data } = state;
  const article = chart.closest(".board");
  const site = one("[data-depth-site]", article).value;
  const scale = one("[data-depth-scale]", article);
  const ceiled = data.ceiled && (!scale || scale.value === "ceiled");
  const shown = new Set(
    all(".legend input", article)
      .filter((box) => box.checked)
      .map((box) => Number(box.value)),
  );
  const at = site === "mean" ? data.sites.flatMap((s, j) => (s.counted ? [j] : [])) : [Number(site)];
  const { step, layers, networks } = data.depth;
  const value = (entry, j, l) => {
    const score = networks[entry].scores[j][l];
    if (score === null) return null;
    if (!ceiled) return score * step;
    const ceiling = data.sites[j].ceiling;
    return missing(ceiling) || ceiling <= 0 ? null : (100 * score * step) / ceiling;
  };
  const chosen = new Map();
  if (site !== "mean") {
    for (let k = 0; k < state.rows.entry.length; k++) {
      const row = state.rows;
      if (
        row.stimuli[k] === "all" &&
        row.chosen[k] === data.selection &&
        row.site[k] === data.sites[at[0]].site
      )
        chosen.set(row.entry[k], row.layer[k]);
    }
  }
  const order = [...shown]
    .sort((a, b) => (role(data.networks[a]) === "control") - (role(data.networks[b]) === "control") || b - a)
    .reverse();
  const traces = order
    .filter((entry) => networks[entry])
    .map((entry) => {
      const network = data.networks[entry],
        stroke = strokes(network, data, look);
      const { names, depths } = layers[networks[entry].layers];
      const y = names.map((_, l) => {
        const values = at.map((j) => value(entry, j, l));
        return values.includes(null) || !values.length
          ? null
          : values.reduce((a, b) => a + b, 0) / values.length;
      });
      const single = names.length === 1;
      const text = names.map((layer, l) =>
        label(
          network.label,
          plain(short(layer, 60)),
          y[l] !== null && (ceiled ? `${raw(y[l], 1)} % of ceiling` : raw(y[l])),
          `depth ${depths[l].toFixed(2)}`,
          chosen.get(entry) === layer && "chosen here",
        ),
      );
      return {
        type: "scatter",
        mode: single ? "lines" : "lines+markers",
        x: single ? [0, 1] : depths,
        y: single ? [y[0], y[0]] : y,
        connectgaps: false,
        line: { color: stroke.color, width: ["random", "control"].includes(role(network)) ? 1.6 : 2.2, dash: stroke.dash },
        marker: {
          color: names.map((layer) =>
            chosen.get(entry) === layer ? stroke.color : stroke.dash === "solid" ? stroke.color : look.surface,
          ),
          symbol: stroke.symbol,
          size: names.map((layer) => (chosen.get(entry) === layer ? 12 : names.length > 40 ? 4 : 5.5)),
          line: { color: stroke.color, width: 1.2 },
        },
        text: single ? [text[0], text[0]] : text,
        hovertemplate: "%{text}<extra></extra>",
      };
    });
  // Controls share one grey: their names stand at the ends of their lines.
  const narrow = isNarrow(chart);
  const annotations = (narrow ? [] : order)
    .filter((entry) => networks[entry] && role(data.networks[entry]) === "control")
    .flatMap((entry) => {
      const { x, y } = traces[order.filter((e) => networks[e]).indexOf(entry)];
      const last = y.findLastIndex((v) => v !== null);
      return last < 0
        ? []
        : [
            {
              x: x[last],
              y: y[last],
              xanchor: x[last] > 0.9 ? "right" : "left",
              yanchor: "bottom",
              yshift: 1,
              showarrow: false,
              text: plain(short(data.networks[entry].label, 24)),
              font: { size: 11, color: look.control },
            },
          ];
    });
  const where =
    data.sites[at[0]] && site !== "mean" ? data.sites[at[0]].site : `mean over ${at.length} sites`;
  return draw(
    chart,
    traces,
    {
      margin: { l: 50, r: 18, t: 30, b: 56 },
      annotations,
      xaxis: axis(look, {
        title: { text: "Relative depth", standoff: 10, font: { size: 13 } },
        range: [-0.02, 1.02],
        dtick: narrow ? 0.25 : 0.1,
      }),
      yaxis: axis(look, {
        title: {
          text: plain((ceiled ? "% of ceiling, " : "Raw score, ") + short(where, 30)),
          font: { size: 13 },
        },
        zeroline: true,
        zerolinecolor: look["line-strong"],
        rangemode: "tozero",
      }),
    },
    look,
    narrow ? 360 : 470,
    span(chart),
  );
};

const prepareDepth = (article, { data }) => {
  const select = one("[data-depth-site]", article);
  if (!select) return;
  select.append(element("option", { value: "mean", textContent: "mean over sites" }));
  data.sites.forEach((site, j) =>
    select.append(
      element("option", {
        value: String(j),
        textContent: site.site + (site.counted ? "" : " (not counted)"),
      }),
    ),
  );
  const choice = one(".legend", article);
  const look = theme();
  // Twins stand side by side, controls at the end.
  const rank = (network) => [
    role(network) === "control" ? 1 : 0,
    network.family,
    role(network) === "random" ? 1 : 0,
  ];
  const places = data.networks.map((network, entry) => ({ network, entry, key: rank(network) }));
  places.sort(
    (a, b) => a.key[0] - b.key[0] || a.key[1] - b.key[1] || a.key[2] - b.key[2] || a.entry - b.entry,
  );
  places.forEach(({ network, entry }) => {
    if (!data.depth.networks[entry]) return;
    const { dash } = strokes(network, data, look);
    const box = element("input", { type: "checkbox", value: String(entry) });
    const sample = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    sample.setAttribute("viewBox", "0 0 26 10");
    sample.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [name, value] of Object.entries({
      x1: 0,
      x2: 26,
      y1: 5,
      y2: 5,
      "stroke-width": 2.4,
      "stroke-dasharray": { dash: "6 4", dot: "2 3", solid: "none" }[dash],
    }))
      line.setAttribute(name, value);
    line.dataset.entry = String(entry);
    sample.append(line);
    choice.append(element("label", {}, box, sample, network.label));
  });
  const show = (which) => {
    const families = new Set();
    for (const box of all("input", choice)) {
      const network = data.networks[Number(box.value)];
      const control = role(network) === "control";
      if (!control && families.size < 5) families.add(network.family);
      box.checked =
        which === "all" ||
        (which === "top" &&
          (control
            ? data.networks.filter((n) => role(n) === "control").length <= 4
            : families.has(network.family)));
    }
  };
  show("top");
  const redraw = () => drawOne(one('[data-chart="depth"]', article));
  all("[data-depth-show]", article).forEach((button) =>
    button.addEventListener("click", () => {
      show(button.dataset.depthShow);
      redraw();
    }),
  );
  choice.addEventListener("change", redraw);
  all("[data-depth-site], [data-depth-scale]", article).forEach((control) =>
    control.addEventListener("change", redraw),
  );
};
const colourLegend = (article, { data }, look) => {
  for (const line of all(".legend line", article))
    line.setAttribute("stroke", strokes(data.networks[Number(line.dataset.entry)], data, look).color);
};

// Trained minus random

const twinName = (data, pair) =>
  `${data.networks[pair.trained].label} \u2212 ${data.networks[pair.random].weights}`;

const twins = (chart, { data }, look) => {
  const [kind, index] = one("[data-twins]", chart.closest(".board")).value.split(":");
  const items =
    kind === "pair"
      ? [
          { name: "mean of counted sites", value: data.twins[index].mean, strong: true },
          ...data.sites.map((site, j) => ({
            name: site.site + (site.counted ? "" : " †"),
            value: data.twins[index].sites[j],
          })),
        ]
      : data.twins.map((pair) => ({
          name: twinName(data, pair),
          value: kind === "mean" ? pair.mean : pair.sites[index],
          strong: kind === "mean",
        }));
  const known = items.filter((item) => item.value && !missing(item.value[0]));
  const by = data.ceiled ? 100 : 1,
    narrow = isNarrow(chart);
  const side = (v) => (missing(v[1]) ? 0 : v[1] > 0 ? 1 : v[2] < 0 ? -1 : 0);
  const traces = [
    ["trained", 1, "trained higher"],
    ["random", -1, "random twin higher"],
    ["quiet", 0, "cannot be told apart"],
  ].map(([colour, which, name]) => {
    const mine = known.map((item, i) => ({ ...item, i })).filter((item) => side(item.value) === which);
    return {
      type: "scatter",
      mode: "markers",
      name,
      showlegend: true,
      x: mine.length ? mine.map((m) => m.value[0] * by) : [null],
      y: mine.length ? mine.map((m) => m.i) : [null],
      error_x: {
        type: "data",
        symmetric: false,
        thickness: 2,
        width: 0,
        color: look[colour],
        array: mine.map((m) => (missing(m.value[2]) ? 0 : (m.value[2] - m.value[0]) * by)),
        arrayminus: mine.map((m) => (missing(m.value[1]) ? 0 : (m.value[0] - m.value[1]) * by)),
      },
      marker: {
        opacity: 1,
        size: mine.map((m) => (m.strong ? 11 : 8)),
        color: which ? look[colour] : look.surface,
        symbol: which === -1 ? "diamond" : "circle",
        line: { color: look[colour], width: 2 },
      },
      text: mine.map(({ name: title, value: [difference, ...ends] }) =>
        label(title, told(data, difference) + (data.ceiled ? " points" : "") + interval(data, ...ends)),
      ),
      hovertemplate: "%{text}<extra></extra>",
    };
  });
  const height = Math.max(1, known.length) * 26 + 112;
  chart.classList.toggle("long", height > 1100);
  return draw(
    chart,
    traces,
    {
      margin: {
        l: room(
          known.map((item) => item.name),
          narrow,
          narrow ? 21 : 58,
        ),
        r: 24,
        t: 38,
        b: 56,
      },
      showlegend: !narrow,
      legend,
      xaxis: axis(look, {
        title: {
          text: data.ceiled ? "Difference, points of % of ceiling" : "Difference of raw scores",
          standoff: 10,
          font: { size: 13 },
        },
        zeroline: true,
        zerolinecolor: look.quiet,
        zerolinewidth: 1.5,
        rangemode: "tozero",
      }),
      yaxis: axis(look, {
        range: [known.length - 0.5, -0.5],
        showgrid: false,
        tickvals: known.map((_, i) => i),
        ticktext: known.map((item) => plain(short(item.name, narrow ? 21 : 58))),
        tickfont: { size: narrow ? 10.5 : 12 },
        ticklabelstandoff: 6,
        automargin: false,
      }),
    },
    look,
    height,
    span(chart),
  );
};

const prepareTwins = (article, { data }) => {
  const select = one("[data-twins]", article);
  if (!select) return;
  const choice = (value, textContent) => element("option", { value, textContent });
  select.append(
    choice("mean:0", "all pairs, mean over sites"),
    element(
      "optgroup",
      { label: "One pair, every site" },
      ...data.twins.map((pair, i) => choice(`pair:${i}`, twinName(data, pair))),
    ),
    element(
      "optgroup",
      { label: "All pairs, one site" },
      ...data.sites.map((site, j) => choice(`site:${j}`, site.site)),
    ),
  );
  select.addEventListener("change", () => drawOne(one('[data-chart="twins"]', article)));
};

// Drawing what can be seen

const KINDS = { ranking, heat, depth, twins };
const drawOne = (chart) => {
  const article = chart.closest(".board");
  KINDS[chart.dataset.chart](chart, boards.get(article), theme());
};
const drawBoard = (article) => {
  colourLegend(article, boards.get(article), theme());
  all("[data-chart]", article).forEach(drawOne);
};
const drawVisible = () => [...boards.keys()].filter((article) => !article.hidden).forEach(drawBoard);
