"""One sentence for each field of a chat request: for the API reference and the playground.

A field of `ChatRequest` without its sentence fails a test.
"""

FIELDS: dict[str, str] = {
    "model": "The name of a version or alias; `GET /v1/models` lists those your key may use.",
    "messages": "The conversation so far, oldest first; each message has a `role` and `content`.",
    "stream": "Send the answer piece by piece, as server-sent events, while it is written.",
    "max_tokens": "The most tokens the answer may have; without it, your tier's default.",
    "max_completion_tokens": "The newer name of `max_tokens`; it wins if both are sent.",
    "temperature": "How freely words are chosen: 0 keeps to the likeliest, 2 is nearly random.",
    "top_p": "Choose only among the likeliest words that together have this probability.",
    "n": "How many answers to make; each counts its own output tokens.",
    "stop": "Up to four texts; the answer ends just before the first that appears.",
    "presence_penalty": "Above 0, words already used become less likely: new topics.",
    "frequency_penalty": "Above 0, words become less likely the more often they were used: "
    "less repetition.",
    "seed": "The same seed and request give the same answer, as far as the engine can.",
    "logprobs": "Tell for each token of the answer how likely it was.",
    "top_logprobs": "With `logprobs`: also so many likely alternatives for each token.",
    "logit_bias": "Make single tokens likelier or less likely, by their id, from -100 to 100.",
    "response_format": "Ask for plain text, for a JSON object, or for JSON of your schema.",
    "tools": "Functions that the model may ask your program to call.",
    "tool_choice": "Whether tools may (`auto`), must (`required`) or must not (`none`) be called, "
    "or which one must.",
    "parallel_tool_calls": "Whether one answer may call several tools.",
    "stream_options": "`include_usage` sends the token counts as the last record of a stream.",
    "user": "Your own name for the end user; it is not stored and not passed on.",
    "safety_identifier": "As `user`; it is not stored and not passed on.",
    "prompt_cache_key": "Taken for compatibility, without effect.",
    "prompt_cache_retention": "Taken for compatibility, without effect.",
    "prompt_cache_options": "Taken for compatibility, without effect.",
    "metadata": "Taken for compatibility; it is not stored and not passed on.",
    "store": "`false`: keep nothing of this conversation, whatever retention says; `true` keeps "
    "nothing that retention does not.",
    "service_tier": "Taken for compatibility; every answer has the tier `default`.",
    "reasoning_effort": "How long a model that reasons may think before it answers.",
    "verbosity": "How long-winded the answer may be, where the model knows of it.",
    "modalities": "Only `text`.",
    "functions": "The older form of `tools`.",
    "function_call": "The older form of `tool_choice`.",
    "truncation": "Keyhall's own: `auto` leaves the oldest turns out if the input is too long.",
    "audio": "Not supported: only `null` is taken.",
    "prediction": "Not supported: only `null` is taken.",
    "web_search_options": "Not supported: only `null` is taken.",
    "moderation": "Look at what is asked and answered too: the answer has what was found, as "
    "`POST /v1/moderations` would say it, or with `block` ends there.",
}
