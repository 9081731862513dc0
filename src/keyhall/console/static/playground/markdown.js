// A model's Markdown as nodes. Everything that comes from a model goes through `textContent`: no
// HTML is read, links are their text and address, pictures are never loaded (attack 5).
"use strict";

const LINE_CHARACTERS_MAX = 4000;  // Longer lines are shown as they are: looking costs time.
const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|!?\[([^[\]\n]*)\]\(([^()\s]*)\)/g;

function element(name, text = null, className = "") {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// What stands between backticks, as code: the words of a refusal.
function ticksInto(parent, text) {
  text.split("`").forEach((part, index) => parent.append(index % 2 ? element("code", part) : part));
  return parent;
}

function inlineInto(parent, text) {
  if (text.length > LINE_CHARACTERS_MAX) {
    parent.append(text);
    return;
  }
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    parent.append(text.slice(from, found.index));
    const [whole, code, strong, emphasis, words, address] = found;
    if (code !== undefined) parent.append(element("code", code));
    else if (strong !== undefined) parent.append(element("strong", strong));
    else if (emphasis !== undefined) parent.append(element("em", emphasis));
    else parent.append(words, " ", element("span", `(${address})`, "address"));
    from = found.index + whole.length;
  }
  parent.append(text.slice(from));
}

const FENCE = /^ {0,3}(```+|~~~+)/;
const HEADING = /^ {0,3}#{1,6} +/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)]) +/;
const QUOTE = /^ {0,3}> ?/;

function markdownInto(parent, text) {
  parent.replaceChildren();
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    if (fence) {
      const end = lines.findIndex((each, index) => index > at && each.trim().startsWith(fence[1]));
      const last = end < 0 ? lines.length : end;
      const block = element("pre");
      block.tabIndex = 0;
      block.append(element("code", lines.slice(at + 1, last).join("\n")));
      parent.append(block);
      at = last + 1;
    } else if (HEADING.test(line)) {
      const heading = element("p", null, "md-heading");
      inlineInto(heading, line.replace(HEADING, ""));
      parent.append(heading);
      at += 1;
    } else if (ITEM.test(line)) {
      at = listInto(parent, lines, at);
    } else if (QUOTE.test(line)) {
      const quote = element("blockquote");
      while (at < lines.length && QUOTE.test(lines[at])) {
        const row = element("p");
        inlineInto(row, lines[at].replace(QUOTE, ""));
        quote.append(row);
        at += 1;
      }
      parent.append(quote);
    } else if (!line.trim()) {
      at += 1;
    } else {
      const paragraph = element("p");
      let first = true;
      while (at < lines.length && lines[at].trim() && !startsBlock(lines[at])) {
        if (!first) paragraph.append(element("br"));
        inlineInto(paragraph, lines[at]);
        first = false;
        at += 1;
      }
      parent.append(paragraph);
    }
  }
}

function startsBlock(line) {
  return FENCE.test(line) || HEADING.test(line) || ITEM.test(line) || QUOTE.test(line);
}

// Lists, one inside the other by their indentation; at most as deep as anyone can read.
function listInto(parent, lines, at) {
  const stack = [];
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    if (!found) break;
    const indent = found[1].length;
    const name = /\d/.test(found[2]) ? "ol" : "ul";
    while (stack.length > 1 && indent < stack.at(-1).indent) stack.pop();
    if (!stack.length || (indent > stack.at(-1).indent + 1 && stack.length < 6)) {
      const list = element(name);
      if (name === "ol") list.start = Number.parseInt(found[2], 10);
      (stack.length ? stack.at(-1).item : parent).append(list);
      stack.push({ indent, list, item: null });
    }
    const item = element("li");
    inlineInto(item, lines[at].slice(found[0].length));
    stack.at(-1).list.append(item);
    stack.at(-1).item = item;
    at += 1;
  }
  return at;
}
