// Draws the figures of the page: each is in the page as plotly's data and layout; colours come from the style sheet.
const style = () => getComputedStyle(document.documentElement);
const colour = (name) => style().getPropertyValue(`--${name}`).trim();
const list = (name) => colour(name).split(",").map((text) => text.trim());

const axis = () => ({ gridcolor: colour("line"), linecolor: colour("line-strong"), zerolinecolor: colour("line-strong") });

function draw(place) {
  const figure = JSON.parse(place.querySelector("script").textContent);
  const hues = list("hues");
  const heat = list("heat");
  const scale = heat.map((stop, i) => [i / (heat.length - 1), stop]);
  for (const trace of figure.data) {
    if (trace.type === "heatmap") trace.colorscale = scale;
    const at = figure.coloured ? figure.coloured.indexOf(trace.name) : -1;
    if (at >= 0) {
      trace.marker = { ...trace.marker, color: hues[at % hues.length] };
      trace.line = { ...trace.line, color: hues[at % hues.length], dash: at < hues.length ? "solid" : "dot" };
      if (at >= hues.length) {
        const symbols = [trace.marker.symbol ?? "circle"].flat().map((name) => name.replace("circle", "diamond"));
        trace.marker.symbol = symbols.length === 1 ? symbols[0] : symbols;
      }
    }
  }
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("ink"), family: "system-ui, sans-serif", size: 13 },
    margin: { l: 120, r: 20, t: 50, b: 60 },
    hovermode: "closest",
    ...figure.layout,
  };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    layout[name] = { ...axis(), automargin: true, ...layout[name] };
  }
  const room = place.querySelector("div");
  Plotly.react(room, figure.data, layout, { displayModeBar: false, responsive: true });
}

const drawAll = () => document.querySelectorAll("[data-figure]").forEach(draw);
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
