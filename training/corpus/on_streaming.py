"""What the house model knows of streaming."""

from collections.abc import Iterable

from training.corpus.entries import Entry, read

TEXT = """
? <how> [stream|get a stream|turn on streaming|switch on streaming|enable streaming|use streaming|receive an answer piece by piece|see the answer word by word|get tokens as they come|see the answer while it is produced|get the answer in pieces]
? [which|what] [parameter|field|option|flag] [turns on|enables|switches on|starts] [streaming|a stream]
? <can> [stream|stream answers|get the answer in pieces|get tokens as they are produced]
? [streaming|stream an answer|live answers] [please|]
? [get|receive|read|show] [tokens|the answer|words|output] [one by one|piece by piece|as it is written|bit by bit|live|while it is made|immediately|step by step|as they come]
? [I want|I'd like|users want] to see [the answer|words|text|tokens] [at once|while it is written|as it comes|immediately|live|growing]
? [stream|streaming] [mode|parameter|option|field|how|on|]
? [turn on|enable|activate|use|start|switch on] [streaming|the stream|stream mode]
? [get|receive|have|read] [the|] tokens [one by one|one after the other|as they come|immediately]
? [tokens|words|text] [one by one|bit by bit|live|piece by piece]
= Send `"stream": true`: the answer comes as server-sent events while it is produced.

? [what|which line|what line] [ends a stream|is the end of a stream|comes last in a stream|comes at the end of a stream|is last in a stream|closes a stream]
? <how> [know|see|notice] that a stream [is over|has ended|is finished|is complete]
? [what does|what is] [DONE|data: DONE|the DONE line] [mean|in a stream|]
? [end|last record] of a stream
? [DONE|data: DONE|DONE in a stream|the word DONE] [meaning|?|, what is it|]
? [last|final|closing] [line|record|event|chunk|message] of [a stream|streams|the stream|a streamed answer]
? [when|where|how] [does|do] [a stream|streams] [end|stop|close]
? how does [my program|a client|one|my code] [know|see|notice] the end of [a|the] stream
? [what is|what does|] DONE [mean|for|in brackets|]
? [the|] [DONE|done] [line|record|marker|word] [at the end|in a stream|]
= A stream ends with the line `data: [DONE]`.

? <how> [get|have|see|receive] [usage|the usage|token counts|the number of tokens|the tokens used] [in a stream|with streaming|when streaming|at the end of a stream|of a streamed answer]
? [does|is] [a stream|streaming] [have|contain|include|there] [usage|a usage|token counts] [in a stream|]
? <what> [include_usage|stream_options]
? why [is there no|does my stream have no] usage [in my stream|]
? [token|tokens|usage|counts|token usage|token counts|numbers] [while|when|in|with|during|of] [streaming|a stream|streamed answers|streams]
? [streams|a stream|streamed answers|my stream] [have|has|without|lack|lacks] [usage|no usage|the usage field|token counts] [, why|]
? [I stream|we stream|when I stream], [where is|how do I get|I miss] [usage|the usage|the token count]
? [token|tokens] [usage|count|numbers] [while|when|during|in] streaming
? [see|know|get|read] [the|] [usage|token usage|tokens used] [while|when|during|in] [streaming|a stream]
= Send `"stream_options": {"include_usage": true}`: the last chunk before the end has `usage`.

? what [comes|is sent|happens] [in a silence|while the model thinks|when nothing is said|while nothing comes|during a pause] [of a stream|in a stream|]
? <what> [a keep-alive|keep-alive|the keep-alive comment]
? what [are|is] [the lines|the comment] [with|that say|: keep-alive] keep-alive
? why [do I get|are there] [comments|lines that begin with a colon] in a stream
? why [are there|do I see|lines with|do lines begin with] [lines with|] a colon [in my stream|in the stream|]
? [lines|records|something] [with|beginning with|starting with] a colon [in the stream|, what is it|]
? [what does the server|what do you] [send|say] [in|during|while there is] [silence|a pause|waiting|nothing to say]
? [keep-alive|keepalive|heartbeat|ping] [comment|lines|in a stream|of streams|]
? [silence|pause|nothing] in [a|the] stream
= In a silence a comment line, `: keep-alive`, comes every ten seconds. Clients skip it.

? how often [does|do|is] [a|the|] keep-alive [come|comments come|sent|lines come]
? [at which|in which] interval [is|does|are] [a|the|] keep-alive [comments|] [sent|come]
? [seconds|time] between keep-alive [lines|comments]
? [interval|period|frequency|rate] of [keep-alive|keep-alives|the comments|keep-alive lines|heartbeats]
? [every|after] how many seconds [comes|is there|do you send] [a|] keep-alive [comment|]
= A keep-alive comment comes every ten seconds of silence.

? what happens [if|when] [a stream breaks|the engine fails in a stream|something goes wrong on the way|a stream fails|an error comes in a stream|the model fails after the first token]
? <how> [see|notice|handle] [an error|a failure|errors] in a stream
? [can|how can] a stream [fail|break|end with an error]
? error in [the middle of|] a stream
? [the stream|a stream|my stream|an answer] [breaks|broke|stops|fails|was cut] [in the middle|half way|on the way|midway|suddenly] [, what comes|, what happens|, how do I know|]
? [what if|what happens when|when] [the engine|the model|the upstream] [dies|fails|breaks|crashes] [during|in|in the middle of] [a stream|streaming|an answer]
? [mid-stream|middle of a stream|streaming] [error|errors|failure|failures]
= A record with an `error` object comes, and the stream ends without `[DONE]`. What was produced until then is metered.

? what happens [when|if] I [close|leave|abort|cancel|stop] [a stream|a request|an answer|early]
? how [fast|soon|quickly] [is|does] [the engine|the model] [stopped|stop|told to stop] [when I leave|after I leave|when I cancel|if I abort|]
? <how> [cancel|stop|abort|end] [a stream|an answer|a running request|a request]
? [closing|cancelling|leaving] a stream
? [a user|the user|my user|somebody|a client] [closes|leaves|shuts] [the browser|the browser tab|the tab|the app|the page|the window] [in the middle of an answer|while streaming|during a stream|] [, what happens|]
? [stop|cancel|abort|interrupt] [a running|an|the] [answer|stream|generation|request] [early|]
? [how fast|how quickly|how soon|after how long] [does the engine stop|is the engine stopped|does it stop|will it stop] [after|when|if|once] [I cancel|I leave|a client leaves|a cancel|I hang up]
? [my|a|the] [user|customer|reader|visitor] [closes|leaves|reloads|shuts down] the [browser|tab|page|app|laptop] [in the middle|during an answer|before the end|while it writes] [, what happens|. What happens|: what happens to the answer|]
= Close the stream: the engine is told to stop within 250 ms. The input and what was produced until then count.

? [do I pay|am I charged|is it charged|what is charged|what do I pay|what counts] [for a stream that I leave|if I leave a stream|when I cancel|if I stop early|when I close a stream early|for a cancelled stream|for an aborted answer]
? [does|will] [a cancelled|an aborted|a closed] [stream|request|answer] [cost|count|be charged|be billed]
+ and what [is charged|do I pay] then
? [leaving|cancelling|stopping|closing] early [: what|, what|, do I] [is charged|do I pay|costs it|pay]
? [is|are] [a half|a partial|an unfinished|a stopped|an interrupted] [answer|stream] [billed|charged|free|counted]
? [cost|price|charge|bill] of [a stream I left|a cancelled stream|a stopped answer|an aborted stream]
= Yes: the input, and what was produced until you left.

? [in what|in which|what is the] [format|form] [is a stream|are streams|do streams come|of a stream|of the chunks|is streamed]
? <what> [server-sent events|SSE|the format of a stream]
? how [is|are] [a stream|streams|chunks] [sent|encoded|written|framed]
? [format|protocol|encoding|transport|form] of [streams|a stream|streaming|the stream|streamed answers|chunks]
? [is it|do you use|are streams] [SSE|websockets|server-sent events|WebSocket|chunked JSON]
? how [does|do] [a stream|streams|the chunks] look [like|on the wire|]
= As server-sent events: lines that begin with `data: `, each with one JSON chunk.

? what happens [if|when] [my client|a client|my program|I] [stops reading|does not read|reads too slowly|stops to read]
? [how long|after what time] may a client [stop reading|not read] [before it is disconnected|]
? [slow|stalled] [client|reader]
? [slow|stuck|stalled|lazy] [client|reader|consumer|program]
? [what if|when] [I do not read|my program does not read|a client does not read|I pause reading|nobody reads] [a stream|the stream|for a minute|]
? [how long|for how long|how many seconds] [may|can] [I|a client|my program] [pause|stop|wait with] reading
= A client that stops reading is disconnected after 30 seconds of standstill.

? [can|could|may] [a refusal|an error 429|a 401|a limit|a refused request] [come|happen|arrive] [in a stream|after the first byte|once the stream began|in the middle of a stream|later in a stream]
? [is|are] [limits|the key|everything] checked before [a stream begins|the first byte|streaming starts]
? what cannot happen [in a stream|after the first byte]
? [can|could] [a stream|streaming] be [refused|rejected|limited] [half way|after it began|later|in the middle]
? [once|after|when] [the stream|a stream|streaming] [runs|has begun|has started|started], [can|may] [a limit|a 429|a 401|a refusal] [still|] [come|stop it|hit me]
? [when|at what point] are [limits|refusals|errors|keys] [checked|decided|made] [for a stream|]
= No: everything that can be refused is refused before the first byte. Once the status is 200, the request was within its limits.

? [why do|my] [chunks|tokens|pieces|records] [come|arrive] [all at once|together|late|in one lump|only at the end] [, why|behind a proxy|behind nginx|]
? [my stream|streaming] [does not stream|comes in one piece|is buffered|hangs behind a proxy]
? [nginx|a proxy|my proxy] [buffers|holds back|collects] [the stream|streams|chunks]
? [the|my] [answer|stream|text] [comes|arrives|appears] [all at once|in one piece|only at the end|in big lumps] [through nginx|behind the proxy|although I stream|with my proxy|]
? [streaming|my stream] [does not work|is not live|is delayed] [behind|through|with] [nginx|a proxy|the load balancer|my reverse proxy]
= Then a proxy buffers them. Answers carry `x-accel-buffering: no`; switch buffering off in the proxy.

? <what> [draining|a drain|to drain|drain|on-disconnect drain]
? what does [drain|draining|it mean that a version drains] [mean|]
? [what's|what is] the difference between abort and drain
? [an answer|a request|a stream|the engine] [goes on|continues|runs on] [although|after|when] [its client|the client|I] [left|leaves|has left|is gone]
? [drain|draining|drained] [meaning|version|in Keyhall|explained|]
? [abort|drain] or [drain|abort]
= Draining means that an answer whose client has left goes on to its end, and all of it is charged. The default is to abort.

? [is|are|do|does] [the id|id|the ids] [of chunks|of all chunks|in a stream|] [the same|equal|differ|identical|change]
? [do|does] [all chunks|the chunks of a stream|every record] [have|share] [the same id|one id]
? [id|created|model] [of|in] [chunks|each chunk|every chunk] [the same|changing|equal|different|]
? [is|are] [the chunk ids|chunk ids|the id of chunks|ids in a stream] [unique|all the same|equal|different|one]
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
