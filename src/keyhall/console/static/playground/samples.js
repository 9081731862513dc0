// The request of this page as a program would send it.
"use strict";

const SAMPLES = {
  curl(url, body) {
    const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
    return `curl ${url}/v1/chat/completions \\\n  -H "Authorization: Bearer $OPENAI_API_KEY" \\\n` +
      `  -H "Content-Type: application/json" \\\n  -d '${json}'`;
  },
  Python(url, body) {
    const { truncation, ...known } = body;
    const lines = Object.entries(known).map(([name, value]) => `    ${name}=${python(value, 1)},`);
    if (truncation) lines.push(`    extra_body={"truncation": ${python(truncation, 1)}},`);
    const shown = body.stream
      ? "for chunk in answer:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or \"\", end=\"\")"
      : "print(answer.choices[0].message.content)";
    return `from openai import OpenAI\n\nclient = OpenAI(base_url="${url}/v1")\n` +
      `answer = client.chat.completions.create(\n${lines.join("\n")}\n)\n${shown}`;
  },
  JavaScript(url, body) {
    const json = JSON.stringify(body, null, 2).replaceAll("\n", "\n");
    const shown = body.stream
      ? "for await (const chunk of answer) process.stdout.write(chunk.choices[0]?.delta?.content ?? \"\");"
      : "console.log(answer.choices[0].message.content);";
    return `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${url}/v1" });\n` +
      `const answer = await client.chat.completions.create(${json});\n${shown}`;
  },
};

// A JSON value as Python writes it. A JSON string is a Python string, but for the slash of halves
// of surrogate pairs, which neither has.
function python(value, depth) {
  const inner = "    ".repeat(depth + 1);
  const outer = "    ".repeat(depth);
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) {
    if (value.every((each) => typeof each !== "object")) {
      return `[${value.map((each) => python(each, depth)).join(", ")}]`;
    }
    return `[\n${value.map((each) => `${inner}${python(each, depth + 1)},\n`).join("")}${outer}]`;
  }
  if (typeof value === "object") {
    const pairs = Object.entries(value);
    return `{${pairs.map(([name, each]) => `${JSON.stringify(name)}: ${python(each, depth)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}
