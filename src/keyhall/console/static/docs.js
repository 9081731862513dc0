// The documentation: examples as tabs, "try it", and the folded list of pages on narrow screens.
"use strict";

if (matchMedia("(max-width: 60rem)").matches) $(".docs-list")?.removeAttribute("open");
else if ($(".doc-contents .level-2, .doc-contents li")) $(".doc-contents").open = $$(".doc-contents li").length <= 14;

// --- Tabs: one choice for all examples of a page ---------------------------------------------------

function showTab(language) {
  for (const group of $$(".samples.tabbed")) {
    const known = $$(".sample", group).some((each) => each.dataset.tab === language);
    if (!known) continue;
    for (const each of $$(".sample", group)) each.hidden = each.dataset.tab !== language;
    for (const tab of $$("[role=tab]", group)) {
      const chosen = tab.textContent === language;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
  }
}

for (const group of $$(".samples")) {
  const list = document.createElement("div");
  list.className = "tab-list";
  list.role = "tablist";
  list.setAttribute("aria-label", "Language of the example");
  for (const sample of $$(".sample", group)) {
    const language = sample.dataset.tab;
    const tab = document.createElement("button");
    tab.type = "button";
    tab.role = "tab";
    tab.id = `tab-${group.dataset.tabs}-${language.toLowerCase()}`;
    tab.textContent = language;
    sample.id = `panel-${group.dataset.tabs}-${language.toLowerCase()}`;
    sample.role = "tabpanel";
    sample.setAttribute("aria-labelledby", tab.id);
    tab.setAttribute("aria-controls", sample.id);
    tab.addEventListener("click", () => showTab(language));
    list.append(tab);
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const tabs = $$("[role=tab]", list);
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
  group.prepend(list);
  group.classList.add("tabbed");
}
showTab("curl");

// --- Try it ---------------------------------------------------------------------------------------

let testKey = null;  // In this page's memory only.

async function keyForTrying() {
  if (testKey && testKey.until > Date.now()) return testKey.key;
  const response = await fetch("/playground/key", {
    method: "POST",
    headers: { "X-CSRF": csrf() },
    body: new URLSearchParams({ mode: "test" }),
    redirect: "manual",
  });
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  if (!isJson) throw new Error("Load the page again: your session may be over.");
  const made = await response.json();
  if (!response.ok) throw new Error(made.said);
  testKey = { key: made.key, until: Date.now() + made.lives_ms - 60000 };
  return testKey.key;
}

async function tryIt(box) {
  const shown = $(".try-answer", box);
  shown.replaceChildren("Asking…");
  const headers = {};
  try {
    if (box.dataset.key === "key") headers.Authorization = `Bearer ${await keyForTrying()}`;
    const body = box.dataset.body || undefined;
    if (body) headers["Content-Type"] = "application/json";
    const response = await fetch(box.dataset.path, {
      method: box.dataset.method, headers, body, credentials: "omit",
    });
    let text = await response.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* Not JSON: as it is. */ }
    const heads = [...response.headers].filter(([name]) => name.startsWith("x-"));
    const answer = document.createElement("pre");
    answer.tabIndex = 0;
    answer.textContent = [
      `HTTP ${response.status}`, ...heads.map(([name, value]) => `${name}: ${value}`), "", text,
    ].join("\n");
    shown.replaceChildren(answer);
  } catch (error) {
    shown.textContent = error.message;
  }
}

for (const box of $$("[data-try]")) {
  box.hidden = false;
  $("button", box).addEventListener("click", () => tryIt(box));
}
