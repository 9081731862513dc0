// Usage: charts of what the tables below them say, and both kept up to date while the time that is
// shown ends now. Without this file the page is a form and tables.
"use strict";

const REFRESH_MS = 3000;
const HEIGHT = 240;
const POINTS = 48; // A line of so few values shows each.
const GROUPS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8", "--c9"];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const thin = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u2009");

function compact(number) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(number) >= size) return `${+(number / size).toFixed(1)}\u2009${unit}`;
  }
  return String(+number.toFixed(2));
}

// --- What each chart shows -----------------------------------------------------------------------

// A part: name, values, colour; `stack` lies on those before it, `line` stands alone.
function parts(id, data) {
  const split = data.by !== "none";
  const stacked = (measure) => data.groups.map((group, index) => ({
    name: group.name, values: group[measure], colour: GROUPS[index % GROUPS.length], stack: true,
  }));
  const before = (measure) => data.before_points
    ? [{ name: "Before", values: padded(data.before_points[measure], data), colour: "--muted-foreground", dash: [4, 4] }]
    : [];
  const limit = (amount) => amount
    ? [{ name: "Limit", values: data.starts.map(() => amount), colour: "--c-limit", dash: [8, 4], limit: true }]
    : [];
  if (id === "tokens") {
    const shown = split ? stacked("tokens") : [
      { name: "In", values: data.all.input_tokens, colour: "--c1", stack: true },
      { name: "Out", values: data.all.output_tokens, colour: "--c2", stack: true },
    ];
    return [...shown, ...before("tokens"), ...limit(data.limits?.tokens_per_minute)];
  }
  if (id === "requests") {
    const shown = split ? stacked("requests")
      : [{ name: "Requests", values: data.all.requests, colour: "--c1", stack: true }];
    return [
      ...shown,
      { name: "Not finished", values: data.all.unanswered, colour: "--c-unanswered" },
      { name: "Refused", values: data.all.refused, colour: "--c-refused" },
      ...before("requests"),
      ...limit(data.limits?.requests_per_minute),
    ];
  }
  if (id === "cost") {
    return stacked("cost_nano").map((part) => ({ ...part, values: part.values.map((nano) => nano / 1e9) }));
  }
  return [
    { name: "First byte, p50", values: data.latency.first_p50, colour: "--c1" },
    { name: "First byte, p95", values: data.latency.first_p95, colour: "--c1", dash: [4, 4] },
    { name: "Whole, p50", values: data.latency.total_p50, colour: "--c3" },
    { name: "Whole, p95", values: data.latency.total_p95, colour: "--c3", dash: [4, 4] },
  ];
}

function padded(values, data) {
  return data.starts.map((_, index) => values[index] ?? null);
}

// Each stacked part drawn from the ground to its top, the highest first: the lower ones cover it.
function columns(shown) {
  const tops = [];
  let below = null;
  for (const part of shown) {
    if (!part.stack) continue;
    below = part.values.map((value, index) => value + (below ? below[index] : 0));
    tops.push({ ...part, drawn: below });
  }
  return [...tops.reverse(), ...shown.filter((part) => !part.stack).map((part) => ({ ...part, drawn: part.values }))];
}

// --- Drawing -------------------------------------------------------------------------------------

function series(part, data) {
  const line = colour(part.colour);
  const unit = data.unit;
  const made = {
    label: part.name,
    stroke: line,
    width: part.stack ? 0 : 2,
    dash: part.dash,
    spanGaps: false,
    points: { show: !part.stack && !part.limit && seen(part.values) <= POINTS, size: 5, fill: line },
    value: (_, __, ___, index) => {
      const value = index == null ? null : part.values[index];
      return value == null ? "–" : unit === "ms" ? `${thin(Math.round(value * 10) / 10)} ms` : unit === "cost" ? String(value) : thin(value);
    },
  };
  if (part.stack) {
    made.fill = line;
    made.paths = uPlot.paths.bars({ size: [0.9, 60], align: 1 });
  }
  return made;
}

function options(id, data, shown, width) {
  const text = colour("--muted-foreground");
  const grid = { stroke: colour("--c-grid"), width: 1 };
  const axis = { stroke: text, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  const times = { ...axis, space: 80, values: (_, marks) => onClock(marks, data) };
  const unit = { latency: "ms", cost: "cost" }[id] ?? "";
  const zone = data.zone === "UTC" ? "Etc/UTC" : data.zone;
  return {
    width,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { time: true, range: () => bounds(data) }, y: { range: (_, __, most) => [0, (most || 1) * 1.08] } },
    axes: [times, { ...axis, size: 64, values: (_, marks) => marks.map((mark) => (id === "latency" ? `${compact(mark)} ms` : compact(mark))) }],
    legend: { live: true },
    series: [
      { label: "From", value: (_, __, ___, index) => (index == null ? "–" : data.labels[index]) },
      ...shown.map((part) => series(part, { ...data, unit })),
    ],
  };
}

const seen = (values) => values.filter((value) => value != null).length;

// Marks of the axis on the page's clock: times within a day, days beyond it.
function onClock(marks, data) {
  const long = marks.length > 1 && marks[1] - marks[0] >= 86400;
  const time = new Intl.DateTimeFormat("en-GB", { timeZone: data.zone, hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: data.zone, day: "numeric", month: "short", year: data.grain === "month" ? "numeric" : undefined });
  let before = "";
  return marks.map((mark) => {
    const date = day.format(mark * 1000);
    const isNew = date !== before;
    before = date;
    if (long) return date;
    return isNew ? `${time.format(mark * 1000)}\n${date}` : time.format(mark * 1000);
  });
}

function bounds(data) {
  const { starts } = data;
  const last = starts.length - 1;
  const step = last > 0 ? starts[last] - starts[last - 1] : 60;
  return [starts[0], starts[last] + step];
}

const charts = new Map();
let latest = null;

function draw(holder, data) {
  const id = holder.dataset.chart;
  const shown = columns(parts(id, data));
  const values = [data.starts, ...shown.map((part) => part.drawn)];
  holder.hidden = false;
  charts.get(id)?.destroy();
  holder.replaceChildren();
  const width = Math.max(240, holder.clientWidth);
  charts.set(id, new uPlot(options(id, data, shown, width), values, holder));
}

function drawAll(data) {
  latest = data;
  for (const holder of $$("[data-chart]")) {
    if (data.starts.length) draw(holder, data);
  }
}

// --- Tables and sums -----------------------------------------------------------------------------

function tell(data) {
  for (const figure of data.figures) {
    const place = $(`[data-figure="${figure.id}"]`);
    if (!place) continue;
    $("[data-value]", place).textContent = figure.value;
    $("[data-said]", place).textContent = figure.said;
    const change = $("[data-change]", place);
    if (change) change.textContent = figure.change;
  }
}

// A table that is open is asked for anew, as the server writes it.
async function tables(address) {
  const open = $$("details[data-table][open]");
  if (!open.length) return;
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const details of open) {
    const fresh = page.querySelector(`[data-table="${details.dataset.table}"] tbody`);
    const place = $("tbody", details);
    if (fresh && place) place.replaceWith(document.importNode(fresh, true));
  }
}

// --- The page ------------------------------------------------------------------------------------

const page = $("[data-usage]");
const form = $("[data-asking]");

async function load(isFirst) {
  const answer = await fetch(page.dataset.usage, { headers: { accept: "application/json" } });
  if (!answer.ok || !(answer.headers.get("content-type") ?? "").includes("json")) return;
  const data = await answer.json();
  const before = latest;
  if (isFirst || JSON.stringify(before) !== JSON.stringify(data)) {
    drawAll(data);
    tell(data);
    if (!isFirst && JSON.stringify(before?.total) !== JSON.stringify(data.total)) await tables(location.href);
  }
}

async function keepUp() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
    if (document.hidden) continue;
    try {
      await load(false);
    } catch {
      // The server is away: the next try tells.
    }
  }
}

function zoneOfTheBrowser() {
  const select = $("#f-zone");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!select || !own || [...select.options].some((option) => option.value === own)) return;
  select.add(new Option(`${own} (yours)`, own));
}

if (form) {
  zoneOfTheBrowser();
  form.addEventListener("change", (event) => {
    if (event.target.name === "range") {
      const custom = event.target.value === "custom";
      for (const field of $$(".custom", form)) field.toggleAttribute("data-unused", !custom);
      if (custom) return;
    }
    form.requestSubmit();
  });
  form.addEventListener("submit", () => {
    const custom = $("#f-range").value === "custom";
    for (const field of form.elements) {
      const unused = (field.name === "from" || field.name === "to") && !custom;
      if (unused || (field.value === "" && field.name)) field.disabled = true;
    }
  });
}

if (page && window.uPlot) {
  load(true).then(() => { if (page.hasAttribute("data-open")) keepUp(); });
  let resized = 0;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => latest && drawAll(latest), 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => latest && setTimeout(() => drawAll(latest), 50));
}
