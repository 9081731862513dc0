"""The same call in three languages, for the API reference."""

import json

from keyhall.wire.reference.routes import Described

# What the official client calls it, and what of the answer people look at.
_CHAT = "chat.completions", "choices[0].message.content"
_CALLS = {"/v1/moderations": ("moderations", "results[0].categories")}

LANGUAGES = {"curl": "sh", "Python": "python", "JavaScript": "javascript"}


def samples(each: Described, url: str) -> dict[str, str]:
    """The call as curl, Python and JavaScript do it; the key comes from the environment."""
    path = each.sample_path or each.path
    return {
        "curl": _curl(each, f"{url}{path}"),
        "Python": _python(each, url, path),
        "JavaScript": _javascript(each, f"{url}{path}"),
    }


def _curl(each: Described, address: str) -> str:
    lines = [f"curl {address}"]
    if each.sent != "nothing":
        lines.append('  -H "Authorization: Bearer $OPENAI_API_KEY"')
    if each.example is not None:
        lines.append('  -H "Content-Type: application/json"')
        lines.append(f"  -d '{json.dumps(each.example, indent=2)}'")
    return " \\\n".join(lines)


def _python(each: Described, url: str, path: str) -> str:
    if not path.startswith("/v1/"):
        return f'import urllib.request\n\nprint(urllib.request.urlopen("{url}{path}").read())'
    if each.sent == "nothing":
        return _plain_python(each, f"{url}{path}")
    lines = ["from openai import OpenAI", "", f'client = OpenAI(base_url="{url}/v1")']
    own = path.removeprefix("/v1")
    if path.startswith("/v1/keyhall/") and each.example is not None:
        lines.append(f'print(client.post("{own}", cast_to=object, body={each.example!r}))')
    elif path.startswith("/v1/keyhall/"):
        lines.append(f'print(client.get("{own}", cast_to=object))')
    elif each.example is not None:
        call, shown = _CALLS.get(path, _CHAT)
        lines.append(f"answer = client.{call}.create(")
        lines += [f"    {name}={value!r}," for name, value in each.example.items()]
        lines += [")", f"print(answer.{shown})"]
    elif each.sample_path:
        lines.append(f'print(client.models.retrieve("{path.rpartition("/")[2]}"))')
    else:
        lines.append("print([model.id for model in client.models.list()])")
    return "\n".join(lines).replace("'", '"')


def _plain_python(each: Described, address: str) -> str:
    """Of what OpenAI's client does not know."""
    return (
        "import json\nimport urllib.request\n\n"
        f"body = json.dumps({json.dumps(each.example, ensure_ascii=False)}).encode()\n"
        f'request = urllib.request.Request("{address}", body)\n'
        'request.add_header("Content-Type", "application/json")\n'
        "print(urllib.request.urlopen(request).read())"
    )


def _javascript(each: Described, address: str) -> str:
    headers = {}
    if each.sent != "nothing":
        headers["Authorization"] = "Bearer ${process.env.OPENAI_API_KEY}"
    if each.example is not None:
        headers["Content-Type"] = "application/json"
    lines = [f'const response = await fetch("{address}", {{']
    if each.method != "GET":
        lines.append(f'  method: "{each.method}",')
    if headers:
        named = ", ".join(f'"{name}": `{value}`' for name, value in headers.items())
        lines.append(f"  headers: {{ {named} }},")
    if each.example is not None:
        lines.append(f"  body: JSON.stringify({_indented(each.example)}),")
    lines.append("});")
    lines.append(f"console.log(await response.{'json' if path_is_json(each) else 'text'}());")
    return "\n".join(lines)


def _indented(value: object) -> str:
    return json.dumps(value, indent=2).replace("\n", "\n  ")


def path_is_json(each: Described) -> bool:
    return each.name != "metrics"
