"""What the house model knows of tokens and the context."""

from collections.abc import Iterable

from training import facts
from training.corpus.entries import Entry, read

IN, OUT = f"{facts.INPUT_MAX:,}", f"{facts.OUTPUT_MAX:,}"

TEXT = f"""
? <what> [a token|tokens|one token|the word token]
? what are tokens [exactly|for a model|]
? [definition|meaning] of [token|tokens]
= Tokens are the pieces of text that models read and write, in English about four characters long.

? [about|roughly|on average|] <many> characters [has|does|are in|make|make up] [a token|one token|each token] [have|]
? how [long|big] is [a token|one token] [in English|in characters|on average|]
? [characters per token|letters per token|length of a token]
= A token is about four characters of English text.

? how many [input tokens|tokens|tokens of input] [fit|may go|can I put|go|can go] [into|in] [a request|one request|one call|v1|v1.1|a conversation|the default models]
? [what is|how large is|how long is|how big is|what's] the [context|context window|context length|input limit|maximum input|context size|maximum context] [of v1|of v1.1|of the default models|of the built-in models|here|of your models|]
? how long [may|can] [my input|the input|a conversation|the messages|my prompt|a prompt|the prompt] be [in tokens|]
? [max|maximum|largest] [input|prompt|context|context length|number of input tokens]
? [limit|maximum] [of|for|on] [input|the input|the prompt] [tokens|in tokens|]
+ and [how much may go in|the input|for input|into it]
= The versions that come with Keyhall take {IN} tokens of input, and write at most {OUT}.

? how [long|many tokens long] [may|can] [an answer|the answer|the output|an output|a reply|a response] [of v1|of v1.1|of the default models|] [be|get|become|at most|]
? [what is|how large is|what's] the [maximum output|largest answer|longest answer|output limit|maximum answer length|maximum number of output tokens|longest output] [of v1|of v1.1|of the default models|in tokens|]
? [how many|what number of] [output tokens|tokens of output|completion tokens] [can|may|does] [a model|v1|v1.1|an answer|a version] [write|have|produce|at most]
? [max|maximum|largest|longest] [output|answer|completion|reply] [in tokens|tokens|length|of the default models|]
+ and [the output|how long may the answer be|the answer|out]
= The versions that come with Keyhall write at most {OUT} tokens in one answer.

? [my|the|our|this] [conversation|input|prompt|chat|history|text] is too [long|large|big] [for the model|, what now|, what can I do|, help|]
? what [can I|do I|to] do [when|if|about] [my|the|a] [conversation|input|prompt|history] [is too long|that is too long|does not fit|gets too long|exceeds the context]
? what happens [when|if] [my|the] [input|conversation|prompt] is [too long|longer than the context|above the limit|larger than {IN} tokens]
? [I have|I got] too many [tokens|messages] [for the context|, what now|]
? <how> [make|get] [a long|my long] conversation fit
= A longer input is refused with 400 `context_length_exceeded`. Shorten it, or send `"truncation": "auto"` to have the oldest turns left out.

? [which|what] [parameter|field|option|setting] [shortens|truncates|makes Keyhall shorten|makes you shorten|cuts] [a|my|the] [long|too long|] conversation
? <how> have [a conversation|a long conversation|messages|the history|old turns] [shortened|cut|truncated|left out] [by the server|automatically|for me|by Keyhall|]
? <can> [let|have] [Keyhall|the server] [shorten|cut|truncate] [my conversation|old messages|the history]
? <what> [truncation|the parameter truncation|truncation auto]
? what does [truncation|truncation auto|"truncation": "auto"] do
= Send `"truncation": "auto"`: then the oldest turns are left out until the conversation fits.

? [which|what] value [does|must|can|should] [truncation|the parameter truncation] [have|take|be set to|get]
? <how> [set|switch on|use] truncation
? truncation [values|value]
= Set it to `"auto"`: `"truncation": "auto"`.

? [which|what] [messages|turns|parts] [stay|are kept|remain|survive|are left out|go first|are dropped] [when|if|with] [a conversation is shortened|truncation is auto|truncation|you shorten]
? does [truncation|shortening] [drop|remove|keep] [the system message|system messages|my last message]
? what is [left out|kept|dropped] [by truncation|when a conversation is shortened]
= System and developer messages and the last turn stay; the oldest turns are left out.

? <how> [count|know|find out|estimate|see|measure] [tokens|how many tokens|the number of tokens|my tokens|the tokens of a text] [before a call|before I send it|before sending|before the request|in advance|offline|a text has|]
? <cmdto> count tokens
? <cmd> counts tokens
? <can> [count|know] tokens [before|in advance|offline|without a server|without a request]
? [counting|count] tokens [beforehand|offline|locally|]
= Run `keyhall tokens count FILE`: it gives the same count as the server, and needs no server, no key and no network.

? [does|do] [counting|counting tokens|I need|keyhall tokens count] [need|require] [a network|the network|a server|a key|internet|a connection|an internet connection] [to count tokens|for counting|]
? [is|must] [a network|the internet|a server|a key] [needed|be there] [to count|for counting] tokens
? [can|does] [tokens count|counting tokens|the token count] [work|run] [offline|without a network|without the internet]
= No, `keyhall tokens count` works offline: it needs no server, no key and no network.

? [which|what] tokenizer [do you use|does Keyhall use|is used|counts|counts my input|counts tokens|is it]
? [with what|with which encoding|by which tokenizer|how] [are tokens|is text|is my input] [counted|encoded|tokenized]
? [name|encoding] of the tokenizer
? <what> [{facts.TOKENIZER}|o200k]
= Text is encoded with `{facts.TOKENIZER}`; `cl100k_base` is for versions that stand for older models.

? [where|in which field] [do I see|can I see|is it said|stands|find I] [how many tokens|the tokens|what] [were used|a request used|an answer used|it used] [in the answer|in the response|]
? [which|what] field [of the answer|of the response|in the answer|] [says|has|holds] [the tokens|the number of tokens|what was used|the token count]
? <how> see [how many tokens|what] [I used|a request used|an answer used]
? <what> [usage|the usage field|the field usage]
= The field `usage` of the answer says it: `prompt_tokens`, `completion_tokens` and `total_tokens`.

? [is|are] [usage|the usage field|the count|token counts|the numbers in usage|your counts] [exact|right|correct|an estimate|true|precise|to be trusted|billed]
? [how exact|how precise|how reliable] is [usage|the count|the usage field]
? [can|may] I [trust|rely on] [usage|the token count]
= Yes, the numbers in `usage` are exact: they are those that were settled.

? [do|are|does] [output tokens|tokens of the answer|the answer|the output|answers] [count|counted|cost] [too|as well|in limits|in TPM|]
? [which|what] tokens [count|are counted|are limited]: [input or output|input, output or both|]
? [is|are] [input and output|both input and output] counted
= Yes, both count: the tokens of the input and those of the output.

? [which|what] header [says|tells|shows] [that|whether|how many] [messages|turns] [were|have been|are] [left out|dropped|truncated|removed|cut]
? <how> [see|know|notice] [that|whether|if] [a conversation was shortened|messages were dropped|turns were left out|truncation happened]
? <what> [x-keyhall-truncated|the header x-keyhall-truncated]
= The header `x-keyhall-truncated` says how much was left out.

? [with|if|for] [n=2|n=3|n=5|n of 4|n above 1|several choices|n answers], [is the input counted|does the input count|do I pay the input] [twice|several times|once|for each|n times|more than once|how often]
? how [is|are] [n=2|several choices|n answers|n above one] [counted|charged]
? does [n|the parameter n] [multiply|change] the input tokens
= No: with `n` above 1 the input counts once, and all answers count.

? <what> [completion_tokens|completion tokens|the field completion_tokens|output tokens]
? what does completion_tokens [mean|count|say]
+ and completion_tokens
= `completion_tokens` are the tokens of the answer, the output.

? <what> [prompt_tokens|the field prompt_tokens|input tokens]
? what does prompt_tokens [mean|count|say]
? meaning of prompt tokens
+ and [prompt_tokens|prompt tokens]
= `prompt_tokens` are the tokens of the input: of all messages you sent.

? <what> [total_tokens|the field total_tokens]
+ and total_tokens
= `total_tokens` is the sum of `prompt_tokens` and `completion_tokens`.

? [which|what] error [comes|do I get|is sent|is returned] [when|if] [my|the] [input|conversation|prompt|messages] [is|are|becomes] too [long|large|big]
? error [for|of] [a too long conversation|too many input tokens|a long prompt]
? [what status|what code] [does|has] a [conversation|prompt] that is too long [get|]
= You get 400 with the code `context_length_exceeded`, and the message names the numbers.

? <how> [limit|bound|cap|shorten|restrict|control] [the length of an answer|an answer|the answer's length|the output|how long answers are|the number of output tokens]
? [which|what] [parameter|field] [limits|bounds|caps] [the answer|the output|the length of an answer|output tokens]
? <how> get [shorter|short] answers
? <what> [max_tokens|max_completion_tokens]
? what does [max_tokens|max_completion_tokens] do
= With `max_tokens` or `max_completion_tokens`: the answer is cut there, and `finish_reason` is `length`.

? <what> [an estimated count|an estimate|a margin|the margin of a count|the margin]
? [which|what|how large a] margin is [taken|held|added] [for an estimated count|when a count is estimated|if the tokenizer is not the model's own|]
? [what is|how much is] held for [an estimated count|a version whose count is estimated]
= For an estimated count the hold takes a margin: 1.25 times the count, and 32 tokens for each tool.

? [what is|what's] [the difference between|] exact and estimated [counts|]
? [what does|when is] [a count|a version's count] [exact|estimated] [mean|]
= A count is exact where the tokenizer is the model's own; otherwise it is estimated, and a margin is held.

? how [is|are] [messages|a message|a request|input] counted
? <many> tokens [does a message cost|has an empty message|does a request add]
? [formula|rule] for [counting|token counts]
= A request counts 3 tokens and each message 3, with its role, its content and its name if it has one. It is the formula that OpenAI publishes.

? how [is|are] [tools|tool definitions|functions] counted
? do [tools|tool definitions] [count|cost tokens]
= Tools count as the text that they are written into, and 8 tokens; 5 if there is a system message.

? what is finish_reason [length|"length"]
? [when|why] is finish_reason length
? my answer [is|was] cut [off|] [in the middle|, why|]
= `finish_reason` is `length` when an answer was cut at its output cap. Raise `max_tokens`.

? what is finish_reason [stop|"stop"]
= `finish_reason` is `stop` when the model ended by itself, or at a stop sequence.

? [does|is] [<|endoftext|>|a special token|special tokens in my text] [end|count|dangerous|special]
= Text is only text: special tokens in a message are ordinary tokens and end nothing.
""".replace("[<|endoftext|>|a special token|", "[a special token|the end of text token|")


def entries() -> Iterable[Entry]:
    return read("tokens", TEXT)
