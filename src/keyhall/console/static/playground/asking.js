// Asking: a key of this page's own, the request with it, and what comes back. The key is in this
// page's memory and nowhere else; `/v1` gets no cookie and the console no Authorization header.
"use strict";

const RENEW_MS = 60000;  // before a key's end
const REVIEW_WAIT_SECONDS = "300";  // for a person, where the project's rules want one
const keys = new Map();  // by mode and project

class Refusal extends Error {
  constructor(message, status = 0, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// What the console answers to this page's script.
async function consoleSays(path, fields) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "X-CSRF": csrf() },
    body: new URLSearchParams(fields),
    redirect: "manual",
  });
  if (response.status === 413) throw new Refusal("This is more than 1 MiB: too long to be counted.");
  if (response.status === 503) throw new Refusal("The database does not answer. Try again in a moment.");
  const kind = response.headers.get("content-type") ?? "";
  if (!kind.startsWith("application/json")) {
    throw new Refusal("Your session is over, or this page is too old. Load it again.");
  }
  const value = await response.json();
  if (!response.ok) throw new Refusal(value.said, response.status);
  return value;
}

async function keyFor(mode, project) {
  const name = `${mode} ${project}`;
  const known = keys.get(name);
  if (known && known.until > Date.now() + RENEW_MS) return known;
  const made = await consoleSays("/playground/key", { mode, project });
  made.until = Date.now() + made.lives_ms;
  keys.set(name, made);
  return made;
}

function forgetKey(mode, project) {
  keys.delete(`${mode} ${project}`);
}

// Records of an event stream, as they come.
async function* records(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      for (const line of part.split("\n")) {
        if (line.startsWith("data: ")) yield line.slice(6);
      }
    }
  }
}

// One request. `turn` is filled as the answer comes; `changed` is called then.
async function askModel(body, key, turn, changed, signal) {
  const began = performance.now();
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: {
      Authorization: `Bearer ${key.key}`,
      "Content-Type": "application/json",
      "X-Keyhall-Review-Wait": REVIEW_WAIT_SECONDS,
    },
    body: JSON.stringify(body),
    credentials: "omit",
    signal,
  });
  turn.status = response.status;
  turn.headers = [...response.headers].filter(([name]) =>
    name.startsWith("x-") || name.startsWith("openai-") || name.startsWith("retry-") ||
    name === "deprecation" || name === "sunset");
  turn.requestId = response.headers.get("x-request-id");
  changed(true);
  const kind = response.headers.get("content-type") ?? "";
  if (!kind.startsWith("text/event-stream")) {
    const value = await response.json().catch(() => null);
    if (!response.ok) throw refusalOf(value?.error, response.status);
    if (response.status === 202) {
      throw new Refusal(`A person looks at this answer first. It will be at ${value.location}.`);
    }
    turn.id = value.id;
    const choice = value.choices[0];
    turn.content = choice.message.content ?? choice.message.refusal ?? "";
    turn.finish = choice.finish_reason;
    turn.model = value.model;
    turn.usage = value.usage;
    turn.firstMs = turn.totalMs = performance.now() - began;
    return;
  }
  let isWhole = false;
  for await (const record of records(response.body)) {
    if (record === "[DONE]") { isWhole = true; break; }
    const chunk = JSON.parse(record);
    if (chunk.error) throw refusalOf(chunk.error, response.status);
    turn.model = chunk.model;
    turn.id = chunk.id;
    if (chunk.usage) turn.usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    const text = choice.delta.content ?? choice.delta.refusal;
    if (text) {
      turn.firstMs ??= performance.now() - began;
      turn.content += text;
      turn.totalMs = performance.now() - began;
      changed(false);
    }
    if (choice.finish_reason) turn.finish = choice.finish_reason;
  }
  turn.totalMs = performance.now() - began;
  if (!isWhole) throw new Refusal("The stream ended before the answer did.");
}

function refusalOf(error, status) {
  return new Refusal(error?.message ?? `The server answered ${status}.`, status, error?.code ?? null);
}
