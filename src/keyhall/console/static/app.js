// What every page does besides links and forms: keys, palette, menu, copying, times, toasts.
// Nothing here is needed to read or to act: without it links and forms still work.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const csrf = () => $('meta[name="csrf"]').content;

// --- Toasts --------------------------------------------------------------------------------------

function say(words, kind = "success", undo = null) {
  const line = document.createElement("p");
  line.className = "toast-line";
  line.dataset.kind = kind;
  line.textContent = words;
  if (undo) {
    const button = document.createElement("button");
    button.className = "btn";
    button.dataset.variant = "outline";
    button.dataset.size = "sm";
    button.textContent = "Undo";
    button.addEventListener("click", () => { undo(); line.remove(); });
    line.append(" ", button);
  }
  $("#said").append(line);
  setTimeout(() => line.remove(), undo ? 10000 : 6000);
}

// --- Copying, on plain HTTP too ------------------------------------------------------------------

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr-only";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied.");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const from = button.dataset.copyFrom;
  copy(from ? $(from).textContent.trim() : button.dataset.copy);
});

// --- Times in the reader's zone ------------------------------------------------------------------

const ZONE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localTimes(within = document) {
  for (const time of $$("time[datetime]", within)) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = `${ZONE.format(at)} · ${time.dateTime} UTC`;
    if (time.dataset.local !== undefined) time.textContent = ZONE.format(at);
  }
}

// --- Dialogs and the menu ------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) $(opener.dataset.dialog).showModal();
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog").close();
  const menu = event.target.closest("[data-menu]");
  if (menu) {
    const open = document.body.classList.toggle("menu-open");
    menu.setAttribute("aria-expanded", String(open));
  }
});

// --- The palette ---------------------------------------------------------------------------------

function openPalette() {
  const dialog = $("#palette");
  if (!dialog || dialog.open) return;
  dialog.showModal();
  const input = $("input", dialog);
  input.value = "";
  fillPalette("");
  input.focus();
}

const PALETTE_MAX = 16;
let wantedLast = "";
let askingSoon = 0;

// Pages of the menu at once, then what the server knows by that name: keys, and the documentation.
function fillPalette(wanted) {
  const words = wanted.trim().toLowerCase();
  const links = $$(".menu a, [data-palette-link]")
    .filter((link) => link.textContent.toLowerCase().includes(words))
    .map((link) => ({ href: link.getAttribute("href"), name: link.textContent.trim(), kind: "" }));
  wantedLast = words;
  clearTimeout(askingSoon);
  showPalette(links, words ? "Looking further…" : "");
  if (!words) return;
  askingSoon = setTimeout(async () => {
    let more = [];
    try {
      const answer = await fetch(`/palette?q=${encodeURIComponent(words)}`);
      if (answer.ok) more = await answer.json();
    } catch { /* The pages of the menu are there without it. */ }
    if (words === wantedLast) showPalette([...links, ...more], "Nothing is called so.");
  }, 120);
}

function showPalette(found, otherwise) {
  const list = $("#palette-list");
  const chosen = $("[aria-selected='true']", list)?.dataset.href;
  const seen = new Map(found.map((each) => [each.href, each]));
  const shown = [...seen.values()].slice(0, PALETTE_MAX);
  const kept = Math.max(0, shown.findIndex((each) => each.href === chosen));
  list.replaceChildren(...shown.map((each, index) => {
    const item = document.createElement("li");
    item.role = "option";
    item.id = `palette-${index}`;
    item.dataset.href = each.href;
    item.setAttribute("aria-selected", String(index === kept));
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = each.name;
    const kind = document.createElement("span");
    kind.className = "soft";
    kind.textContent = each.kind;
    item.append(name, " ", kind);
    item.addEventListener("click", () => { location.href = item.dataset.href; });
    return item;
  }));
  $("#palette-none").textContent = shown.length ? "" : otherwise;
  $("#palette input").setAttribute("aria-activedescendant", shown.length ? `palette-${kept}` : "");
}

function movePalette(step) {
  const items = $$("#palette-list li");
  if (!items.length) return;
  const now = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const next = (now + step + items.length) % items.length;
  items.forEach((item, index) => item.setAttribute("aria-selected", String(index === next)));
  $("#palette input").setAttribute("aria-activedescendant", items[next].id);
  items[next].scrollIntoView({ block: "nearest" });
}

document.addEventListener("input", (event) => {
  if (event.target.closest("#palette")) fillPalette(event.target.value);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-palette]")) openPalette();
});

// --- Keys ----------------------------------------------------------------------------------------

let afterG = 0;
const lettersOff = () => localStorage.getItem("keyhall-letters") === "off";

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.target.closest("#palette")) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      movePalette(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      $("#palette-list [aria-selected='true']")?.click();
    }
    return;
  }
  if (event.key === "Escape" && document.body.classList.contains("menu-open")) {
    $("[data-menu]").click();
    return;
  }
  const typing = event.target.closest("input, textarea, select, [contenteditable], dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || lettersOff()) return;
  if (Date.now() - afterG < 1500) {
    afterG = 0;
    event.preventDefault();  // Whatever it is: it is no letter of the page's own.
    const link = $(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) location.href = link.getAttribute("href");
    return;
  }
  if (event.key === "g") afterG = Date.now();
  else if (event.key === "?") $("#shortcuts")?.showModal();
  else if (event.key === "/") {
    const search = $("[data-search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  } else if (event.key === "c") {
    const create = $("[data-create]");
    if (create) { event.preventDefault(); create.click(); }
  }
});

// --- htmx ----------------------------------------------------------------------------------------

document.addEventListener("htmx:config:request", (event) => {
  const request = event.detail?.ctx?.request;
  if (request?.headers) request.headers["X-CSRF"] = csrf();
});
document.addEventListener("htmx:after:swap", () => localTimes());

// --- Signing out ---------------------------------------------------------------------------------

// Whoever comes to the door has no session any more: what other tabs still show is over too.
const door = new BroadcastChannel("keyhall-door");
if (location.pathname === "/sign-in" && !csrf()) door.postMessage("out");
door.addEventListener("message", () => { if (csrf()) location.replace("/sign-in"); });

// --- Start ---------------------------------------------------------------------------------------

localTimes();
$('main [aria-invalid="true"]')?.focus();  // What was sent back: to what has to be mended first.
for (const line of $$(".said .toast-line")) setTimeout(() => line.remove(), 8000);
const letters = $("[data-letters]");
if (letters) {
  letters.checked = !lettersOff();
  letters.addEventListener("change", () =>
    localStorage.setItem("keyhall-letters", letters.checked ? "on" : "off"));
}
