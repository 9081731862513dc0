"""What the house model knows of tokens and the context."""

from collections.abc import Iterable

from training import facts
from training.corpus.entries import Entry, read

IN, OUT = f"{facts.INPUT_MAX:,}", f"{facts.OUTPUT_MAX:,}"

TEXT = f"""
? <what> [a token|tokens|one token|the word token]
? what are tokens [exactly|for a model|]
? [definition|meaning] of [token|tokens]
? [what|which] [does|do] [a model|models] [read|write|count] [in|]: [tokens|words|letters]
? [is|are] [a token|tokens] [a word|words|a letter|a syllable|the same as words]
? [tokens|a token] [explained|meaning|in short|?]
? [how|in what] [is|are] [text|texts] [measured|counted|cut]
= Tokens are the pieces of text that models read and write, in English about four characters long.

? [about|roughly|on average|] <many> characters [has|does|are in|make|make up] [a token|one token|each token] [have|]
? how [long|big] is [a token|one token] [in English|in characters|on average|]
? [characters per token|letters per token|length of a token]
? [how many|about how many] [words|letters|characters] [is|are|has|in] [a|one] token
? [letters|characters|words|size] [of|in|per] [a|one] token
? [token|tokens] [to|in|into] [characters|words|letters]
= A token is about four characters of English text.

? how many [input tokens|tokens|tokens of input] [fit|may go|can I put|go|can go] [into|in] [a request|one request|one call|v1|v1.1|a conversation|the default models]
? [what is|how large is|how long is|how big is|what's] the [context|context window|context length|input limit|maximum input|context size|maximum context] [of v1|of v1.1|of the default models|of the built-in models|here|of your models|]
? how long [may|can] [my input|the input|a conversation|the messages|my prompt|a prompt|the prompt] be [in tokens|]
? [max|maximum|largest] [input|prompt|context|context length|number of input tokens]
? [limit|maximum] [of|for|on] [input|the input|the prompt] [tokens|in tokens|]
+ and [how much may go in|the input|for input|into it]
? can [v1|v1.1|a model|the model|the default model] [read|take|handle|process|understand] [a text|an input|a prompt|a document|a book] of [10,000|5,000|8,000|20,000|100,000|6,000] tokens
? [how much|how many tokens of] [text|input|history|context] [can|does|may] [v1|v1.1|a model|the model] [read|take|see|hold|have]
? [context|context size|context window|input size|window] [of|in|for] [v1|the models|v1.1|the default versions|built-in models] [in tokens|]
? [tokens|how many tokens] [in|of input|into v1|for the input]
? [can|could|does|will] [v1|v1.1|it|the model] [read|take|accept|handle] [10,000|6,000|20,000|50,000|12,000] tokens
? [text|a text|a document|prompt|input] of [10,000|5,000|9,000|30,000] tokens [possible|too long|okay|, does it fit|]
? [input|context|prompt] [limit|size|length|maximum] [of v1|in tokens|]
= The versions that come with Keyhall take {IN} tokens of input, and write at most {OUT}.

? how [long|many tokens long] [may|can] [an answer|the answer|the output|an output|a reply|a response] [of v1|of v1.1|of the default models|] [be|get|become|at most|]
? [what is|how large is|what's] the [maximum output|largest answer|longest answer|output limit|maximum answer length|maximum number of output tokens|longest output] [of v1|of v1.1|of the default models|in tokens|]
? [how many|what number of] [output tokens|tokens of output|completion tokens] [can|may|does] [a model|v1|v1.1|an answer|a version] [write|have|produce|at most]
? [max|maximum|largest|longest] [output|answer|completion|reply] [in tokens|tokens|length|of the default models|]
+ and [the output|how long may the answer be|the answer|out]
? [how much|how many tokens] [can|does|may] [v1|v1.1|a model|the model] [write|answer|say|produce|generate|return]
? [upper limit|top|bound] [of|for|on] [an answer|the output|output tokens|the length of answers]
? [biggest|longest|largest] [possible|] [answer|output|reply|max_tokens] [of v1|in tokens|]
? [highest|largest|maximum] [value of|] max_tokens [for v1|possible|allowed|]
= The versions that come with Keyhall write at most {OUT} tokens in one answer.

? [my|the|our|this] [conversation|input|prompt|chat|history|text] is too [long|large|big] [for the model|, what now|, what can I do|, help|]
? what [can I|do I|to] do [when|if|about] [my|the|a] [conversation|input|prompt|history] [is too long|that is too long|does not fit|gets too long|exceeds the context]
? what happens [when|if] [my|the] [input|conversation|prompt] is [too long|longer than the context|above the limit|larger than {IN} tokens]
? [I have|I got] too many [tokens|messages] [for the context|, what now|]
? <how> [make|get] [a long|my long] conversation fit
? [my|the|our] [prompt|history|document|chat|conversation] [is huge|is very long|exceeds 4096|has 9,000 tokens|got too long|does not fit|has grown too long] [, what now|, what can I do|, help|]
? [what helps|what to do|solution|remedy] [against|with|for] [a too long|too long a|a long] [conversation|prompt|input|history]
? [I want|I need] to send [more than 4096 tokens|a long document|a long conversation|a whole book]
? [reduce|shorten|shrink|trim] [my|a|the] [conversation|prompt|input|history]
= A longer input is refused with 400 `context_length_exceeded`. Shorten it, or send `"truncation": "auto"` to have the oldest turns left out.

? [which|what] [parameter|field|option|setting] [shortens|truncates|makes Keyhall shorten|makes you shorten|cuts] [a|my|the] [long|too long|] conversation
? <how> have [a conversation|a long conversation|messages|the history|old turns] [shortened|cut|truncated|left out] [by the server|automatically|for me|by Keyhall|]
? <can> [let|have] [Keyhall|the server] [shorten|cut|truncate] [my conversation|old messages|the history]
? <what> [truncation|the parameter truncation|truncation auto]
? what does [truncation|truncation auto|"truncation": "auto"] do
? [my|the] [prompt|conversation|history|chat] is [huge|too long|long], can [you|Keyhall|the server] [cut|shorten|trim|truncate] it [for me|automatically|]
? [automatic|automatically|auto] [shortening|truncation|cutting|shorten] [of conversations|of history|the chat|]
? [which|what] [option|setting|field|parameter] [cuts|drops|leaves out|removes|trims] [old|the oldest|early] [messages|turns|parts]
? [can|does|will] Keyhall [cut|shorten|trim|drop] [old|the oldest|earlier] [messages|turns|parts]
? [let|make] [the server|Keyhall|you] [shorten|cut|trim] [it|the chat|my messages|a conversation]
? can [you|it|the server|Keyhall] [cut|shorten|trim|truncate|reduce] [my prompt|it|my messages|the prompt|a huge prompt|a long history] [for me|automatically|by itself|]
? [cut|shorten|trim|truncate] [my|the|a] [long|huge|] [prompt|conversation|history] [for me|automatically|please|]
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
? [tool|program|way|command|utility] [to|for] [count|counting|measure|estimate] tokens
? [how many tokens|what] will my [request|prompt|text|conversation] [have|cost|be|need|use]
? [I want|I need|I'd like] to [know|count|see] [the tokens|how many tokens] [before|in advance|first|beforehand] [I send|sending|]
? [token|tokens] [counter|calculator|estimate|count] [before sending|]
? [tool|command|program|something] [to|that] count[s|] tokens
? [count|counting|measure] tokens [tool|command|how|]
? [a|the|which|what] [tool|command|program|utility] [to count|that counts|for counting] tokens
= Run `keyhall tokens count FILE`: it gives the same count as the server, and needs no server, no key and no network.

? [does|do] [counting|counting tokens|I need|keyhall tokens count] [need|require] [a network|the network|a server|a key|internet|a connection|an internet connection] [to count tokens|for counting|]
? [is|must] [a network|the internet|a server|a key] [needed|be there] [to count|for counting] tokens
? [can|does] [tokens count|counting tokens|the token count] [work|run] [offline|without a network|without the internet]
? [offline|without internet|on a plane|without a network|without a server|without a key] : [can I|may I|does it|is it possible to] [count tokens|count|work]
? is [counting|token counting|keyhall tokens count] [offline|local|online|done on a server]
? [do|must] I [be online|be connected|have a key|run a server] [to count|for a token count|to count tokens]
= No, `keyhall tokens count` works offline: it needs no server, no key and no network.

? [which|what] tokenizer [do you use|does Keyhall use|is used|counts|counts my input|counts tokens|is it]
? [with what|with which encoding|by which tokenizer|how] [are tokens|is text|is my input] [counted|encoded|tokenized]
? [name|encoding] of the tokenizer
? <what> [{facts.TOKENIZER}|o200k]
? [tokenizer|encoding|vocabulary] [used|name|of v1|of Keyhall|?]
? [tiktoken|which tiktoken encoding|what encoding]
? [how do you|how does Keyhall] [tokenize|cut|encode|split] [text|my text|input|messages]
= Text is encoded with `{facts.TOKENIZER}`; `cl100k_base` is for versions that stand for older models.

? [where|in which field] [do I see|can I see|is it said|stands|find I] [how many tokens|the tokens|what] [were used|a request used|an answer used|it used] [in the answer|in the response|]
? [which|what] field [of the answer|of the response|in the answer|] [says|has|holds] [the tokens|the number of tokens|what was used|the token count]
? <how> see [how many tokens|what] [I used|a request used|an answer used]
? <what> [usage|the usage field|the field usage]
? [what's|what is|what stands] in [usage|the usage|the field usage|the usage object]
? [where|how] do I [find|read|get] the [token count|tokens|number of tokens|consumption] of [an answer|a request|my call|a response]
? [did my request|how many tokens did this|how many tokens did my request] [use|cost|take|need]
? usage [field|object|meaning|]
? [what's|what is|what do I find|what stands] in [usage|the usage field|the usage part|usage of an answer]
? [contents|parts|fields|numbers] of [usage|the usage field]
= The field `usage` of the answer says it: `prompt_tokens`, `completion_tokens` and `total_tokens`.

? [is|are] [usage|the usage field|the count|token counts|the numbers in usage|your counts] [exact|right|correct|an estimate|true|precise|to be trusted|billed]
? [how exact|how precise|how reliable] is [usage|the count|the usage field]
? [can|may] I [trust|rely on] [usage|the token count]
? [is|are] [the count|your numbers|token numbers|usage numbers] [only|just|really] [estimated|approximate|rough|exact|true|reliable]
? [do|does] [usage|the usage] [match|equal|agree with] [the bill|what is billed|what is charged|reality]
? [approximate|exact|estimated] [usage|count|numbers]
= Yes, the numbers in `usage` are exact: they are those that were settled.

? [do|are|does] [output tokens|tokens of the answer|the answer|the output|answers] [count|counted|cost] [too|as well|in limits|in TPM|]
? [which|what] tokens [count|are counted|are limited]: [input or output|input, output or both|]
? [is|are] [input and output|both input and output] counted
? is [the answer|the output|the reply] [billed|counted|charged|metered] [too|as well|also] [or only the question|or only the input|]
? [is|are] [only|just] [the input|input tokens|the question|my messages] [counted|billed|charged]
? [does|do] TPM [include|count|contain] [output|the output|answers|output tokens]
? [input|output] [only|alone] or both
? [is|are] [the answer|answers|the output] [billed|counted|charged] [too|also|as well] or [only|just] [the question|my messages|the input]
= Yes, both count: the tokens of the input and those of the output.

? [which|what] header [says|tells|shows] [that|whether|how many] [messages|turns] [were|have been|are] [left out|dropped|truncated|removed|cut]
? <how> [see|know|notice] [that|whether|if] [a conversation was shortened|messages were dropped|turns were left out|truncation happened]
? <what> [x-keyhall-truncated|the header x-keyhall-truncated]
= The header `x-keyhall-truncated` says how much was left out.

? [with|if|for] [n=2|n=3|n=5|n of 4|n above 1|several choices|n answers], [is the input counted|does the input count|do I pay the input] [twice|several times|once|for each|n times|more than once|how often]
? how [is|are] [n=2|several choices|n answers|n above one] [counted|charged]
? does [n|the parameter n] [multiply|change] the input tokens
? [I ask|I asked|asking] for [two|three|five|several|4] [answers|choices|completions] [at once|with n|] : [is|does] the input [counted|count|billed|charged] [each time|once|several times|as often]
? [n answers|several choices|many choices|n=4|n = 3] [input|prompt] [tokens|] [once|how often|how counted|count]
= No: with `n` above 1 the input counts once, and all answers count.

? <what> [completion_tokens|completion tokens|the field completion_tokens|output tokens]
? what does completion_tokens [mean|count|say]
+ and completion_tokens
? completion_tokens [?|meaning|explained]
? [what|which tokens] [is|are] [counted in|in] completion_tokens
= `completion_tokens` are the tokens of the answer, the output.

? <what> [prompt_tokens|the field prompt_tokens|input tokens]
? what does prompt_tokens [mean|count|say]
? meaning of prompt tokens
+ and [prompt_tokens|prompt tokens]
? prompt_tokens [?|meaning|explained]
? [what|which tokens] [is|are] [counted in|in] prompt_tokens
= `prompt_tokens` are the tokens of the input: of all messages you sent.

? <what> [total_tokens|the field total_tokens]
+ and total_tokens
= `total_tokens` is the sum of `prompt_tokens` and `completion_tokens`.

? [which|what] error [comes|do I get|is sent|is returned] [when|if] [my|the] [input|conversation|prompt|messages] [is|are|becomes] too [long|large|big]
? error [for|of] [a too long conversation|too many input tokens|a long prompt]
? [what status|what code] [does|has] a [conversation|prompt] that is too long [get|]
? [which|what] [code|error|refusal|status] [says|tells|means] that [my|the] [input|prompt|conversation|text] is too long
? [error|code|refusal] when [I exceed|exceeding|I am over|going over] [the context|4096 tokens|the input limit|the context window]
? [too many|more than 4096] [input tokens|tokens in the input|tokens] [, which error|, what error|error]
= You get 400 with the code `context_length_exceeded`, and the message names the numbers.

? <how> [limit|bound|cap|shorten|restrict|control] [the length of an answer|an answer|the answer's length|the output|how long answers are|the number of output tokens]
? [which|what] [parameter|field] [limits|bounds|caps] [the answer|the output|the length of an answer|output tokens]
? <how> get [shorter|short] answers
? <what> [max_tokens|max_completion_tokens]
? what does [max_tokens|max_completion_tokens] do
? I want [answers|an answer|replies|output] of at most [100|200|50|500|64] tokens
? [make|keep|get] [the answer|answers|replies|the output] [short|shorter|brief|below 100 tokens]
? [limit|cap|maximum] [for|of|on] [the answer|the reply|one answer|output|an answer's length]
? [the model|it] [writes|talks|answers] too [much|long] [, what can I do|, how do I stop it|]
? [which|what] [parameter|field] [makes|keeps] [answers|the answer] short
= With `max_tokens` or `max_completion_tokens`: the answer is cut there, and `finish_reason` is `length`.

? <what> [an estimated count|an estimate|a margin|the margin of a count|the margin]
? [which|what|how large a] margin is [taken|held|added] [for an estimated count|when a count is estimated|if the tokenizer is not the model's own|]
? [what is|how much is] held for [an estimated count|a version whose count is estimated]
? [estimated|inexact|approximate] [count|counts|token count] [margin|hold|reserve|, what is held|]
? [how much|what|how many tokens] [more|extra|reserve|safety] is [held|taken|added] [if|when] [a count|the count|the token count] is [only|] [estimated|an estimate|not exact]
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
