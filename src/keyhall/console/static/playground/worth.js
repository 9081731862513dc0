// What an answer was worth: two thumbs, and a note behind them. It goes where every program's
// feedback goes, with the key that asked.
"use strict";

async function tellWorth(turn, fields) {
  const made = await keyFor(turn.askedBy.mode, turn.askedBy.project);
  const response = await fetch("/v1/keyhall/feedback", {
    method: "POST",
    headers: { Authorization: `Bearer ${made.key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ completion_id: turn.id, ...fields }),
    credentials: "omit",
  });
  const value = await response.json().catch(() => null);
  if (!response.ok) throw refusalOf(value?.error, response.status);
  turn.worth = fields;
}

async function rate(turn, fields, box) {
  try {
    await tellWorth(turn, fields);
    say(fields.comment ? "Noted, with your words." : "Noted.");
  } catch (error) {
    say(error.message, "error");
  }
  box.replaceWith(worth(turn));
}

function thumb(turn, direction, words, sign, box) {
  const made = button(sign, () => rate(turn, { ...turn.worth, thumb: direction }, box));
  made.setAttribute("aria-label", words);
  made.title = words;
  made.setAttribute("aria-pressed", String(turn.worth?.thumb === direction));
  return made;
}

function worth(turn) {
  const box = element("span", null, "turn-worth");
  box.append(
    thumb(turn, "up", "A good answer", "👍", box),
    thumb(turn, "down", "A bad answer", "👎", box),
  );
  if (turn.worth) {
    const form = element("form", null, "row");
    const note = element("input", null, "input");
    note.setAttribute("aria-label", "Why, in a sentence");
    note.placeholder = "Why, in a sentence";
    note.maxLength = 4096;
    note.value = turn.worth.comment ?? "";
    const submit = element("button", "Tell", "btn");
    submit.dataset.size = "sm";
    submit.dataset.variant = "outline";
    form.append(note, submit);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const comment = note.value.trim();
      if (comment) rate(turn, { thumb: turn.worth.thumb, comment }, box);
    });
    box.append(form);
  }
  return box;
}
