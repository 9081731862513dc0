// The playground: a conversation as a tree of turns, of which one branch is shown and sent.
"use strict";

const COUNT_AFTER_MS = 250;
const PAINT_EVERY_MS = 60;

const page = $("#play");
const draft = $("#draft");
const root = { role: "", content: "", children: [], chosen: 0, pair: null };
let running = new Set();  // AbortControllers
let counted = null;  // the latest count that came
let editing = null;  // the turn that is being edited

// --- The tree -------------------------------------------------------------------------------------

function branch() {
  const turns = [];
  for (let node = root; node.children.length;) {
    node = node.children[node.chosen];
    turns.push(node);
  }
  return turns;
}

function grow(parent, role, content) {
  const turn = { role, content, parent, children: [], chosen: 0, pair: null, state: "done" };
  parent.children.push(turn);
  parent.chosen = parent.children.length - 1;
  return turn;
}

function upTo(turn) {
  const turns = [];
  for (let node = turn; node !== root; node = node.parent) turns.unshift(node);
  return turns;
}

// What of some turns is sent: answers that never came are not.
function messagesOf(turns) {
  const system = $("#system").value.trim();
  const said = turns.filter((turn) => turn.role === "user" || turn.content)
    .map(({ role, content }) => ({ role, content }));
  return system ? [{ role: "system", content: system }, ...said] : said;
}

// --- What was chosen ------------------------------------------------------------------------------

const mode = () => $("[name='mode']:checked").value;
const project = () => $("#project")?.value ?? "";
const option = () => $("#model").selectedOptions[0];
const isSandbox = (name) => mode() === "test" || $$("#model option")
  .some((each) => (each.value === name || each.dataset.version === name) && "sandbox" in each.dataset);

function parameters() {
  const chosen = {};
  for (const input of $$("[data-parameter]")) {
    if (input.value !== "" && input.validity.valid) chosen[input.dataset.parameter] = Number(input.value);
  }
  const stops = $("#p-stop").value.split("\n").filter((line) => line);
  if (stops.length) chosen.stop = stops;
  if ($("#p-response_format").value) chosen.response_format = { type: $("#p-response_format").value };
  return chosen;
}

function requestOf(turns, model = $("#model").value, fit = false) {
  const body = { model, messages: messagesOf(turns), ...parameters() };
  if (fit) body.truncation = "auto";
  if ($("#p-stream").checked) Object.assign(body, { stream: true, stream_options: { include_usage: true } });
  return body;
}

// --- Counting, with the server's own functions ----------------------------------------------------

let countTimer = 0;
let countNumber = 0;

function countSoon() {
  clearTimeout(countTimer);
  countTimer = setTimeout(count, COUNT_AFTER_MS);
}

async function count() {
  clearTimeout(countTimer);  // One that began later would make this one's answer worth nothing.
  const number = ++countNumber;
  const turns = branch();
  const words = draft.value.trim();
  const last = turns.at(-1);
  if (words || !last) turns.push({ role: "user", content: words });
  else if (last.role === "assistant") turns.push({ role: "user", content: "" });
  const body = requestOf(turns);
  try {
    const made = await consoleSays("/playground/count", { request: JSON.stringify(body) });
    if (number !== countNumber) return null;
    counted = { ...made, at: $("#system").value.trim() ? 1 : 0 };
    showCount();
    return counted;
  } catch (error) {
    if (number !== countNumber) return null;
    counted = null;
    $("#context-words").textContent = error.message;
    return null;
  }
}

const thin = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u2009");

function showCount() {
  const { tokens, limit, output_cap: cap, output_max: most, is_estimated: guess } = counted;
  const meter = $("#context");
  meter.max = limit;
  meter.value = Math.min(tokens, limit);
  meter.dataset.state = tokens > limit ? "bad" : tokens > limit * 0.85 ? "warn" : "";
  const left = limit - tokens;
  const words = $("#context-words");
  words.replaceChildren(
    element("span", `Input ${guess ? "about " : ""}${thin(tokens)} of ${thin(limit)} tokens`),
    element("span", left < 0 ? `${thin(-left)} too many` : `${thin(left)} left`, left < 0 ? "bad" : ""),
    element("span", `Reserved for the answer: ${thin(cap)} of ${thin(most)}`, "soft"),
  );
  $("#fit").hidden = left >= 0;
  $("#system-tokens").textContent = counted.at ? `${thin(counted.each[0])} tokens` : "";
  const goes = new Set(counted.goes ?? []);
  $$("#turns > li").forEach((item, index) => {
    const number = counted.each[index + counted.at];
    const place = $(".turn-tokens", item);
    if (place && number !== undefined) place.textContent = `${thin(number)} tokens`;
    item.classList.toggle("goes", goes.has(index + counted.at));
  });
}

// --- Fit to context: shown before it is sent ------------------------------------------------------

function previewFit() {
  if (!counted) return;
  const list = $("#fit-list");
  const turns = branch();
  const goes = (counted.goes ?? []).map((place) => turns[place - counted.at]).filter(Boolean);
  list.replaceChildren(...goes.map((turn) => {
    const text = turn.content.length > 160 ? `${turn.content.slice(0, 160)}…` : turn.content;
    return element("li", `${turn.role === "user" ? "You" : "Answer"}: ${text}`);
  }));
  list.hidden = !goes.length;
  $("#fit-send").hidden = !goes.length;
  $("#fit-words").textContent = counted.goes === null
    ? `The system prompt and your last message alone are longer than ${thin(counted.limit)} tokens. Shorten one of them.`
    : `The conversation has ${thin(counted.tokens)} tokens and the model takes ${thin(counted.limit)}. ` +
      `The oldest turns go first; the system prompt and your last message stay. ` +
      `${goes.length} would be left out, and ${thin(counted.fitted)} tokens remain. They stay on this page.`;
  $("#fit-dialog").showModal();
}

// --- Asking ---------------------------------------------------------------------------------------

async function send(fit = false) {
  if (running.size) return;
  const words = draft.value.trim();
  const last = branch().at(-1);
  if (!words && last?.role !== "user") { draft.focus(); return; }
  if (!fit) {
    const now = await count();
    if (now && now.tokens > now.limit) { previewFit(); return; }
  }
  const asked = words ? grow(last ?? root, "user", words) : last;
  draft.value = "";
  await answer(asked, fit);
  draft.focus();
}

async function answer(asked, fit = false) {
  const others = [$("#model").value, $("#other").value].filter((name, index, all) =>
    name && all.indexOf(name) === index);
  const first = asked.children.length;
  const turns = others.map((model) => Object.assign(grow(asked, "assistant", ""), { state: "asking", asked: model, fit }));
  asked.chosen = first;
  asked.pair = turns.length > 1 ? [first, first + 1] : null;
  render();
  $("#turns > li:last-child").scrollIntoView({ block: "end" });
  await Promise.all(turns.map((turn) => ask(turn, requestOf(upTo(asked), turn.asked, fit))));
  const failed = turns.filter((turn) => turn.error).length;
  $("#status").textContent = failed ? "The request was refused." : "The answer is there.";
  render();
  countSoon();
}

async function ask(turn, body) {
  const stop = new AbortController();
  running.add(stop);
  showRunning();
  try {
    for (let again = true; again;) {
      again = false;
      turn.askedBy = { mode: mode(), project: project() };
      const key = await keyFor(mode(), project());
      $("#key-line").textContent = `Asking with ${key.masked}, tier ${key.tier}, project ${key.project}.`;
      try {
        await askModel(body, key, turn, (hasHead) => paint(turn, hasHead), stop.signal);
      } catch (error) {
        again = error.status === 401 && !turn.hasRetried;  // Its hour is over, or somebody ended it.
        if (!again) throw error;
        turn.hasRetried = true;
        forgetKey(mode(), project());
      }
    }
    turn.state = "done";
  } catch (error) {
    if (stop.signal.aborted) {
      turn.state = "stopped";
    } else {
      turn.state = "failed";
      turn.error = { message: error.message, status: error.status, code: error.code };
      const status = turn.status === 200 ? "" : String(error.status ?? "");
      turn.error.row = await consoleSays("/playground/explain", { status, message: error.message }).catch(() => null);
    }
  } finally {
    running.delete(stop);
    showRunning();
  }
}

function showRunning() {
  $("#stop").hidden = !running.size;
  $("#send").disabled = running.size > 0;
}

function stopAll() {
  for (const stop of running) stop.abort();
}

// --- Showing --------------------------------------------------------------------------------------

function button(words, act, variant = "ghost") {
  const made = element("button", words, "btn");
  made.type = "button";
  made.dataset.variant = variant;
  made.dataset.size = "sm";
  made.addEventListener("click", act);
  return made;
}

function render() {
  const turns = branch();
  $("#nothing").hidden = turns.length > 0;
  $("#turns").replaceChildren(...turns.map((turn) => item(turn)));
  notice();
  if (counted) showCount();
}

function item(turn) {
  const line = element("li", null, `turn turn-${turn.role}`);
  const pair = turn.parent.pair;
  if (turn.role === "assistant" && pair?.includes(turn.parent.chosen)) {
    line.classList.add("turn-pair");
    line.append(...pair.map((index) => one(turn.parent.children[index], true)));
  } else {
    line.append(one(turn, false));
  }
  return line;
}

function one(turn, isPair) {
  const box = element("div", null, "turn-box");
  const head = element("p", null, "turn-head");
  head.append(element("strong", turn.role === "user" ? "You" : turn.model ?? turn.asked ?? "Answer"));
  if (turn.role === "assistant" && isSandboxTurn(turn)) head.append(badge("sandbox, no AI"));
  if (turn.fit) head.append(badge("oldest turns left out"));
  head.append(element("span", "", "soft turn-tokens"));
  box.append(head);
  if (turn === editing) {
    box.append(editor(turn));
    return box;
  }
  const text = element("div", null, "turn-text");
  text.dir = "auto";
  turn.place = text;
  turn.painted = 0;
  if (turn.role === "user") text.textContent = turn.content;
  else markdownInto(text, turn.content);
  box.append(text);
  if (turn.state === "asking" && !turn.content) text.append(element("p", "…", "soft"));
  if (turn.error) box.append(refused(turn));
  if (turn.role === "assistant" && turn.state !== "asking") box.append(facts(turn));
  if (turn.state !== "asking") box.append(acts(turn, isPair));
  return box;
}

function badge(words) {
  const made = element("span", words, "badge");
  made.dataset.variant = "outline";
  return made;
}

function isSandboxTurn(turn) {
  const head = turn.headers?.find(([name]) => name === "x-keyhall-mode");
  return head?.[1] === "test" || (turn.model && isSandbox(turn.model));
}

function acts(turn, isPair) {
  const row = element("div", null, "row turn-acts");
  const parent = turn.parent;
  const place = parent.children.indexOf(turn);
  if (isPair) {
    row.append(button("Go on with this", () => { parent.chosen = place; parent.pair = null; render(); countSoon(); }, "outline"));
  } else if (parent.children.length > 1) {
    const move = (step) => () => { parent.chosen = place + step; parent.pair = null; render(); countSoon(); };
    const back = button("‹", move(-1));
    const next = button("›", move(1));
    back.setAttribute("aria-label", "The branch before");
    next.setAttribute("aria-label", "The next branch");
    back.disabled = place === 0;
    next.disabled = place === parent.children.length - 1;
    row.append(back, element("span", `${place + 1} of ${parent.children.length}`, "soft"), next);
  }
  if (turn.role === "user") row.append(button("Edit", () => edit(turn)));
  else if (!isPair) row.append(button("Retry", () => { if (!running.size) answer(parent); }));
  if (turn.content) row.append(button("Copy", () => copy(turn.content)));
  if (turn.role === "assistant" && turn.id && turn.state === "done") row.append(worth(turn));
  return row;
}

function facts(turn) {
  const box = element("div", null, "turn-facts soft");
  const said = [];
  if (turn.usage) said.push(`${thin(turn.usage.prompt_tokens)} tokens in, ${thin(turn.usage.completion_tokens)} out`);
  if (turn.firstMs) said.push(`first after ${milliseconds(turn.firstMs)}`, `all after ${milliseconds(turn.totalMs)}`);
  if (turn.state === "stopped") said.push("stopped by you");
  else if (turn.finish === "length") said.push("cut at the cap: raise max tokens for more");
  else if (turn.finish && turn.finish !== "stop") said.push(`ended: ${turn.finish}`);
  box.append(element("span", said.join(" · ")));
  if (turn.headers?.length) {
    const details = element("details");
    details.append(element("summary", "Headers"));
    const list = element("dl", null, "facts");
    for (const [name, value] of turn.headers) list.append(element("dt", name), element("dd", value, "mono"));
    details.append(list);
    box.append(details);
  }
  return box;
}

const milliseconds = (ms) => ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

function refused(turn) {
  const { message, status, code, row } = turn.error;
  const box = element("div", null, "turn-refused");
  box.setAttribute("role", "alert");
  if (status || code) box.append(element("strong", [status, code].filter(Boolean).join(" ")));
  box.append(ticksInto(element("p"), message));
  if (row) {
    const advice = element("p");
    advice.append(element("strong", "What to do: "));
    ticksInto(advice, row.advice).append(" ");
    const link = element("a", "More about this refusal");
    link.href = row.href;
    advice.append(link);
    box.append(advice);
  }
  return box;
}

// A piece came: paint it, but not more often than anyone can see.
function paint(turn, hasHead) {
  if (hasHead) limitsFrom(turn.headers);
  const now = performance.now();
  if (!turn.place || now - turn.painted < PAINT_EVERY_MS) return;
  turn.painted = now;
  const isAtEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 160;
  markdownInto(turn.place, turn.content);
  if (isAtEnd) scrollTo({ top: document.documentElement.scrollHeight });
}

// --- Editing --------------------------------------------------------------------------------------

function edit(turn) {
  if (running.size) return;
  editing = turn;
  render();
  const area = $(".turn-editor textarea");
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
}

function editor(turn) {
  const form = element("form", null, "turn-editor");
  const area = element("textarea", turn.content, "textarea");
  area.rows = 3;
  area.value = turn.content;
  area.setAttribute("aria-label", "Edited message");
  const finish = () => { editing = null; render(); draft.focus(); };
  const resend = () => {
    const words = area.value.trim();
    editing = null;
    if (words) answer(grow(turn.parent, "user", words));
    else render();
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); resend(); });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); resend(); }
    if (event.key === "Escape") { event.stopPropagation(); finish(); }
  });
  const row = element("div", null, "row");
  const submit = element("button", "Send as a new branch", "btn");
  submit.dataset.size = "sm";
  row.append(submit, button("Cancel", finish, "outline"));
  form.append(area, row);
  return form;
}

// --- What is left, and who answers ----------------------------------------------------------------

function limitsFrom(headers) {
  const values = new Map(headers);
  for (const kind of ["requests", "tokens"]) {
    const limit = Number(values.get(`x-ratelimit-limit-${kind}`));
    const line = $(`#limit-${kind}`).closest(".limit-line");
    line.hidden = !limit;
    if (!limit) continue;
    $("#limits").hidden = false;
    showLimit(kind, Number(values.get(`x-ratelimit-remaining-${kind}`)), limit,
      seconds(values.get(`x-ratelimit-reset-${kind}`)));
  }
}

const refills = {};

function showLimit(kind, left, limit, reset) {
  const meter = $(`#limit-${kind}`);
  meter.max = limit;
  meter.value = left;
  meter.dataset.state = left <= 0 ? "bad" : left < limit * 0.15 ? "warn" : "";
  $(`#limit-${kind}-words`).textContent = `${thin(left)} of ${thin(limit)}` +
    (left < limit ? `, full in ${Math.ceil(reset)} s` : "");
  clearTimeout(refills[kind]);
  if (left < limit) refills[kind] = setTimeout(() => showLimit(kind, limit, limit, 0), reset * 1000);
}

// `1m0s`, `8.64s`, `84ms`
function seconds(text) {
  const parts = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:(\d+)ms)?$/.exec(text ?? "") ?? [];
  return (parts[1] ?? 0) * 3600 + (parts[2] ?? 0) * 60 + Number(parts[3] ?? 0) + (parts[4] ?? 0) / 1000;
}

function notice() {
  const place = $("#notice");
  const said = mode() === "test"
    ? "A test key asks: the sandbox answers under every name. It is no AI; it says what it received."
    : isSandbox($("#model").value)
      ? `The sandbox answers for ${$("#model").value}: it is no AI and says what it received.` +
        ($("#model").value.startsWith("sandbox/") ? "" : " An operator can connect a model.")
      : "";
  place.hidden = !said;
  if (place.textContent !== said) place.textContent = said;
}

// --- Code, export, import -------------------------------------------------------------------------

function showCode(language) {
  const turns = branch();
  if (draft.value.trim()) turns.push({ role: "user", content: draft.value.trim() });
  while (turns.at(-1)?.role === "assistant") turns.pop();
  if (!turns.length) turns.push({ role: "user", content: "Hello" });
  $("#code-text").textContent = SAMPLES[language](page.dataset.url, requestOf(turns));
  $("#code-panel").setAttribute("aria-labelledby", `code-tab-${language}`);
  for (const tab of $$("[data-language]")) tab.setAttribute("aria-selected", String(tab.dataset.language === language));
}

function exportIt() {
  const body = { model: $("#model").value, messages: messagesOf(branch()), ...parameters() };
  const link = element("a");
  const file = new Blob([JSON.stringify(body, null, 2)], { type: "application/json" });
  link.href = URL.createObjectURL(file);
  link.download = "conversation.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

async function importIt(file) {
  let value;
  try {
    value = JSON.parse(await file.text());
  } catch {
    say("That file is not JSON.", "error");
    return;
  }
  const messages = Array.isArray(value) ? value : value?.messages;
  const isGood = Array.isArray(messages) && messages.every((each) =>
    typeof each?.content === "string" && ["system", "developer", "user", "assistant"].includes(each.role));
  if (!isGood) {
    say("A conversation is a list of messages with role and text. Tools and parts are not shown here.", "error");
    return;
  }
  const before = { children: root.children, chosen: root.chosen, system: $("#system").value };
  root.children = [];
  root.chosen = 0;
  const isSystem = (each) => each.role === "system" || each.role === "developer";
  $("#system").value = messages.filter(isSystem).map((each) => each.content).join("\n\n");
  $(".play-system").open = Boolean($("#system").value);
  let last = root;
  for (const each of messages.filter((one) => !isSystem(one))) last = grow(last, each.role, each.content);
  for (const input of $$("[data-parameter]")) {
    const given = value[input.dataset.parameter];
    input.value = typeof given === "number" ? given : "";
  }
  $("#p-stop").value = [value.stop ?? []].flat().join("\n");
  $("#p-response_format").value = value.response_format?.type === "json_object" ? "json_object" : "";
  if ($$("#model option").some((each) => each.value === value.model)) $("#model").value = value.model;
  render();
  countSoon();
  say(`${messages.length} messages imported.`, "success", () => restore(before));
}

function restore(before) {
  Object.assign(root, { children: before.children, chosen: before.chosen });
  $("#system").value = before.system;
  render();
  countSoon();
}

function clearAll() {
  stopAll();
  const before = { children: root.children, chosen: root.chosen, system: $("#system").value };
  if (!before.children.length) { draft.focus(); return; }
  Object.assign(root, { children: [], chosen: 0, pair: null });
  render();
  countSoon();
  draft.focus();
  say("A new conversation.", "success", () => restore(before));
}

// --- Start ----------------------------------------------------------------------------------------

for (const each of $$(".needs-script")) each.hidden = false;
if (matchMedia("(max-width: 64rem)").matches) $(".play-options").open = false;
$("#composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("#stop").addEventListener("click", stopAll);
$("#fit").addEventListener("click", previewFit);
$("#fit-dialog").addEventListener("close", () => {
  if ($("#fit-dialog").returnValue === "send") send(true);
  $("#fit-dialog").returnValue = "";
});
$("#view-code").addEventListener("click", () => { showCode("curl"); $("#code-dialog").showModal(); });
for (const tab of $$("[data-language]")) tab.addEventListener("click", () => showCode(tab.dataset.language));
$("#export").addEventListener("click", exportIt);
$("#import").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) importIt(file);
  event.target.value = "";
});
$("#clear").addEventListener("click", clearAll);
for (const each of [draft, $("#system"), $("#model"), $(".parameters")]) each.addEventListener("input", countSoon);
for (const each of [$("#model"), ...$$("[name='mode']")]) each.addEventListener("change", notice);
draft.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send();
  } else if (event.key === "ArrowUp" && !draft.value) {
    const last = branch().filter((turn) => turn.role === "user").at(-1);
    if (last) { event.preventDefault(); edit(last); }
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running.size && !event.target.closest("dialog")) stopAll();
});
notice();
count();
