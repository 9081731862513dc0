// Pages of keys and limits: live bars, tabs of samples, the test request, forgetting a key's text.
"use strict";

// --- Live bars: the address stands in data-live, one stream a page --------------------------------

const thin = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, " ");

function lasts(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  return seconds >= 60 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}

function move(level) {
  for (const bar of $$(`[data-bar="${CSS.escape(level.id)}"]`)) {
    const limit = Number(bar.dataset.limit);
    const meter = $("progress", bar);
    meter.value = Math.min(level.counted, limit);
    const state = level.percent >= 100 ? "bad" : level.percent >= 80 ? "warn" : "";
    if (state) meter.dataset.state = state; else delete meter.dataset.state;
    $("[data-counted]", bar).textContent = thin(level.counted);
    const free = $("[data-free]", bar);
    if (!free) continue;
    if (!level.counted) free.textContent = "all free";
    else if (level.all_ms) free.textContent = `some in ${lasts(level.some_ms)}, all in ${lasts(level.all_ms)}`;
    else free.textContent = "when a request ends";
  }
}

const live = $("[data-live]");
if (live && window.EventSource) {
  let source = null;
  const open = () => {
    source = new EventSource(live.dataset.live);
    source.addEventListener("message", (event) => JSON.parse(event.data).forEach(move));
    source.addEventListener("over", () => source.close());
  };
  const close = () => { source?.close(); source = null; };
  // Nobody looks at a hidden page, and streams are counted.
  document.addEventListener("visibilitychange", () => { close(); if (!document.hidden) open(); });
  window.addEventListener("pagehide", close);
  if (!document.hidden) open();
}

// --- Filters apply themselves --------------------------------------------------------------------

const filters = $("[data-filters]");
if (filters) {
  filters.addEventListener("change", (event) => {
    if (event.target.matches("select")) filters.requestSubmit();
  });
}

// --- Samples as tabs ------------------------------------------------------------------------------

for (const group of $$("[data-tabs]")) {
  const panels = $$(":scope > section", group);
  const row = document.createElement("div");
  row.className = "tab-row";
  row.setAttribute("role", "tablist");
  row.setAttribute("aria-label", "Ways to use it");
  const choose = (wanted) => panels.forEach((panel, index) => {
    const is = index === wanted;
    panel.hidden = !is;
    row.children[index].setAttribute("aria-selected", String(is));
    row.children[index].tabIndex = is ? 0 : -1;
  });
  panels.forEach((panel, index) => {
    const heading = $("h3", panel);
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `tab-${index}`;
    tab.setAttribute("role", "tab");
    tab.textContent = heading.textContent;
    panel.id = `panel-${index}`;
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    heading.remove();
    tab.addEventListener("click", () => choose(index));
    row.append(tab);
  });
  row.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (panels.findIndex((panel) => !panel.hidden) + step + panels.length) % panels.length;
    choose(next);
    row.children[next].focus();
  });
  group.insertBefore(row, panels[0]);
  choose(0);
}

// --- A key's text: used from the page, and forgotten with it --------------------------------------

const reveal = $("[data-reveal]");
const secret = () => $("#secret").textContent.trim();

if (reveal) {
  // A reload asks for the key's page instead of making another key.
  history.replaceState(null, "", reveal.dataset.reveal);
  window.addEventListener("pagehide", () => {
    for (const each of $$("[data-secret]")) each.textContent = "";
  });
}

const envButton = $("[data-env]");
if (envButton) {
  envButton.hidden = false;
  envButton.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${$("#s-env").textContent.trim()}\n`]));
    link.download = ".env";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

async function send(model) {
  const began = performance.now();
  const answer = await fetch("/v1/chat/completions", {
    method: "POST",
    credentials: "omit",
    cache: "no-store",
    headers: { "Authorization": `Bearer ${secret()}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      model, max_tokens: 60, messages: [{ role: "user", content: "Say hello in one sentence." }],
    }),
  });
  const told = await answer.json();
  const took = `${Math.round(performance.now() - began)} ms`;
  const id = answer.headers.get("x-request-id") ?? "";
  if (answer.ok) {
    const used = told.usage;
    return ["good", told.choices[0].message.content,
      `${told.model}, ${used.prompt_tokens} tokens in, ${used.completion_tokens} out, ${took}, ${id}`];
  }
  const error = told.error ?? {};
  return ["bad", error.message ?? "It was refused.",
    `${answer.status} ${error.code ?? error.type ?? ""}, ${took}, ${id}`];
}

const trying = $("[data-try]");
if (trying) {
  trying.hidden = false;
  $("[data-send]", trying).addEventListener("click", async (event) => {
    event.currentTarget.disabled = true;
    const button = event.currentTarget;
    let [kind, words, facts] = ["bad", "", ""];
    try {
      [kind, words, facts] = await send(trying.dataset.model);
    } catch {
      words = "The server did not answer. Is it still running?";
    }
    const box = document.createElement("div");
    box.className = "result";
    box.dataset.kind = kind;
    for (const [name, text] of [["p", words], ["p", facts]]) {
      const line = document.createElement(name);
      line.textContent = text;
      box.append(line);
    }
    box.lastChild.className = "soft small mono";
    $("[data-result]", trying).replaceChildren(box);
    button.disabled = false;
  });
}
