"use strict";

// A role's button shows when there is something to save; without this file it always does.
for (const select of document.querySelectorAll("select[data-saves]")) {
  const button = select.form.querySelector("button");
  const before = select.value;
  button.hidden = true;
  select.addEventListener("change", () => { button.hidden = select.value === before; });
}

// An import answers with a file, and the page stays: it says what comes next.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    setTimeout(() => { button.disabled = true; });
    form.querySelector(".after").hidden = false;
  });
}
