// Reviewing by keys alone. Without it the page's forms do the same.
"use strict";

const steps = () => $$("[data-row], [data-part]");
const reviewing = $("[data-review]");
const editor = reviewing && $("#f-text", reviewing);

function step(by) {
  const all = steps();
  if (!all.length) return;
  const now = all.indexOf(document.activeElement);
  const next = Math.min(all.length - 1, Math.max(0, now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by));
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=radio]), textarea, select, dialog[open]");
  if (event.defaultPrevented || typing || event.ctrlKey || event.metaKey || event.altKey || lettersOff()) return;
  if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    step(event.key === "j" ? 1 : -1);
    return;
  }
  if (reviewing && event.key >= "1" && event.key <= "5") {
    event.preventDefault();
    const score = $(`input[name="score"][value="${event.key}"]`, reviewing);
    score.checked = true;
    score.focus();
    return;
  }
  const wanted = $(`[data-key="${CSS.escape(event.key)}"]`);
  if (!wanted) return;
  event.preventDefault();
  if (event.key === "e") edit(); else wanted.click();
});

// --- The correction, and what it changes ------------------------------------------------------------

let showingSoon = 0;

function edit() {
  editor.closest("details").open = true;
  editor.focus();
}

// Pieces as the page shows them: what is put in and taken out, hidden characters by their names.
function changed(pieces) {
  const box = document.createElement("div");
  box.className = "spoken";
  box.dir = "auto";
  for (const [kind, parts] of pieces) {
    const piece = document.createElement({ in: "ins", out: "del", same: "span" }[kind]);
    for (const [words, name] of parts) {
      if (!name) { piece.append(words); continue; }
      const mark = document.createElement("mark");
      mark.className = "hidden-character";
      mark.textContent = name;
      piece.append(mark);
    }
    box.append(piece);
  }
  return box;
}

async function showChanges() {
  const sent = new FormData(reviewing);
  const kept = new URLSearchParams();
  for (const name of ["csrf", "answer", "text"]) kept.set(name, sent.get(name));
  try {
    const answer = await fetch($("[data-preview]", reviewing).formAction, {
      method: "POST", body: kept, headers: { "hx-request": "true" },
    });
    if (answer.ok) $("#changes").replaceChildren(changed(await answer.json()));
  } catch { /* The button shows the same. */ }
}

if (editor) {
  editor.addEventListener("input", () => {
    clearTimeout(showingSoon);
    showingSoon = setTimeout(showChanges, 150);
  });
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Escape") editor.blur();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      reviewing.requestSubmit($('button[value="edit"]', reviewing));
    }
  });
  $("[data-preview]", reviewing).addEventListener("click", (event) => {
    event.preventDefault();
    showChanges();
  });
}
