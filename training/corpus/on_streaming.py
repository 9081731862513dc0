"""What the house model knows of streaming."""

from collections.abc import Iterable

from training.corpus.entries import Entry, read

TEXT = """
? <how> [stream|get a stream|turn on streaming|switch on streaming|enable streaming|use streaming|receive an answer piece by piece|see the answer word by word|get tokens as they come|see the answer while it is produced|get the answer in pieces]
? [which|what] [parameter|field|option|flag] [turns on|enables|switches on|starts] [streaming|a stream]
? <can> [stream|stream answers|get the answer in pieces|get tokens as they are produced]
? [streaming|stream an answer|live answers] [please|]
= Send `"stream": true`: the answer comes as server-sent events while it is produced.

? [what|which line|what line] [ends a stream|is the end of a stream|comes last in a stream|comes at the end of a stream|is last in a stream|closes a stream]
? <how> [know|see|notice] that a stream [is over|has ended|is finished|is complete]
? [what does|what is] [DONE|data: DONE|the DONE line] [mean|in a stream|]
? [end|last record] of a stream
= A stream ends with the line `data: [DONE]`.

? <how> [get|have|see|receive] [usage|the usage|token counts|the number of tokens|the tokens used] [in a stream|with streaming|when streaming|at the end of a stream|of a streamed answer]
? [does|is] [a stream|streaming] [have|contain|include|there] [usage|a usage|token counts] [in a stream|]
? <what> [include_usage|stream_options]
? why [is there no|does my stream have no] usage [in my stream|]
= Send `"stream_options": {"include_usage": true}`: the last chunk before the end has `usage`.

? what [comes|is sent|happens] [in a silence|while the model thinks|when nothing is said|while nothing comes|during a pause] [of a stream|in a stream|]
? <what> [a keep-alive|keep-alive|the keep-alive comment]
? what [are|is] [the lines|the comment] [with|that say|: keep-alive] keep-alive
? why [do I get|are there] [comments|lines that begin with a colon] in a stream
= In a silence a comment line, `: keep-alive`, comes every ten seconds. Clients skip it.

? how often [does|do|is] [a|the|] keep-alive [come|comments come|sent|lines come]
? [at which|in which] interval [is|does|are] [a|the|] keep-alive [comments|] [sent|come]
? [seconds|time] between keep-alive [lines|comments]
= A keep-alive comment comes every ten seconds of silence.

? what happens [if|when] [a stream breaks|the engine fails in a stream|something goes wrong on the way|a stream fails|an error comes in a stream|the model fails after the first token]
? <how> [see|notice|handle] [an error|a failure|errors] in a stream
? [can|how can] a stream [fail|break|end with an error]
? error in [the middle of|] a stream
= A record with an `error` object comes, and the stream ends without `[DONE]`. What was produced until then is metered.

? what happens [when|if] I [close|leave|abort|cancel|stop] [a stream|a request|an answer|early]
? how [fast|soon|quickly] [is|does] [the engine|the model] [stopped|stop|told to stop] [when I leave|after I leave|when I cancel|if I abort|]
? <how> [cancel|stop|abort|end] [a stream|an answer|a running request|a request]
? [closing|cancelling|leaving] a stream
= Close the stream: the engine is told to stop within 250 ms. The input and what was produced until then count.

? [do I pay|am I charged|is it charged|what is charged|what do I pay|what counts] [for a stream that I leave|if I leave a stream|when I cancel|if I stop early|when I close a stream early|for a cancelled stream|for an aborted answer]
? [does|will] [a cancelled|an aborted|a closed] [stream|request|answer] [cost|count|be charged|be billed]
+ and what [is charged|do I pay] then
= Yes: the input, and what was produced until you left.

? [in what|in which|what is the] [format|form] [is a stream|are streams|do streams come|of a stream|of the chunks|is streamed]
? <what> [server-sent events|SSE|the format of a stream]
? how [is|are] [a stream|streams|chunks] [sent|encoded|written|framed]
= As server-sent events: lines that begin with `data: `, each with one JSON chunk.

? what happens [if|when] [my client|a client|my program|I] [stops reading|does not read|reads too slowly|stops to read]
? [how long|after what time] may a client [stop reading|not read] [before it is disconnected|]
? [slow|stalled] [client|reader]
= A client that stops reading is disconnected after 30 seconds of standstill.

? [can|could|may] [a refusal|an error 429|a 401|a limit|a refused request] [come|happen|arrive] [in a stream|after the first byte|once the stream began|in the middle of a stream|later in a stream]
? [is|are] [limits|the key|everything] checked before [a stream begins|the first byte|streaming starts]
? what cannot happen [in a stream|after the first byte]
= No: everything that can be refused is refused before the first byte. Once the status is 200, the request was within its limits.

? [why do|my] [chunks|tokens|pieces|records] [come|arrive] [all at once|together|late|in one lump|only at the end] [, why|behind a proxy|behind nginx|]
? [my stream|streaming] [does not stream|comes in one piece|is buffered|hangs behind a proxy]
? [nginx|a proxy|my proxy] [buffers|holds back|collects] [the stream|streams|chunks]
= Then a proxy buffers them. Answers carry `x-accel-buffering: no`; switch buffering off in the proxy.

? <what> [draining|a drain|to drain|drain|on-disconnect drain]
? what does [drain|draining|it mean that a version drains] [mean|]
? [what's|what is] the difference between abort and drain
= Draining means that an answer whose client has left goes on to its end, and all of it is charged. The default is to abort.

? [is|are|do|does] [the id|id|the ids] [of chunks|of all chunks|in a stream|] [the same|equal|differ|identical|change]
? [do|does] [all chunks|the chunks of a stream|every record] [have|share] [the same id|one id]
= Yes: `id`, `created` and `model` are the same in all chunks of a stream.

? [what|which] [is|comes in] the first chunk [of a stream|]
? where is the role in a stream
= The role comes once per choice, in its first chunk; the text follows in `delta.content`.

? [which|what] exception [comes|is raised] [when a stream breaks|in a broken stream]
= Official clients raise `APIError` from the loop.

? what happens to a stream [whose|when its] key is revoked
= It ends within two seconds, with the code `key_revoked`.

? [is|are] [a streamed answer|streams] [metered|counted|charged] [differently|in another way|like others]
= No, a streamed answer is metered as any other, also without `include_usage`.
"""


def entries() -> Iterable[Entry]:
    return read("streaming", TEXT)
