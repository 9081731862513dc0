"""What the house model knows of metering, quotas, money and privacy."""

from collections.abc import Iterable

from training import facts
from training.corpus.entries import Entry, read

ALERTS = ", ".join(str(each) for each in facts.ALERTS_AT[:-1]) + f" and {facts.ALERTS_AT[-1]}"

TEXT = f"""
? what [is|do you|does Keyhall] [record|recorded|write down|written down|keep|kept|log|save|note] [of|about|for|from] [a|my|each|every|one] request
? [which|what] [data|numbers|fields] [are|is] [recorded|kept|stored|in the usage record] [of a request|]
? <what> [a usage record|the usage record|usage]
? what [stands|is] in [a|the] usage record
? [which|what] [traces|data|numbers|information] [does|do|are] [a request|requests|you|left] [leave|keep|by a request|about me]
? [contents|fields|columns] of [a usage record|the ledger|a record]
? [metering|usage|recording] : what [is|do you] [kept|keep|recorded|record]
= Its id, the key, project and organization, the version, when it was, its tokens and cost, and how it ended. No text of it.

? [do|does|will|are|is] [you|Keyhall|anybody|this server|the operator|somebody] [store|keep|save|log|read|see|record|remember] [my|the|our] [messages|conversations|chats|answers|texts|prompts|questions|words]
? [are|is|do|will] [my|our|the] [messages|conversations|chats|answers|prompts|texts|words] [stored|kept|saved|logged|recorded|private|written down|read]
? [what|which part] of my [conversation|messages|chat|text] is [kept|stored|saved|recorded]
? [is|are] [my data|my chat|what I write|what I say|my text] [private|safe|kept secret|stored|saved]
? [privacy|data protection]
? do you [keep|save|store|archive|hold] [my chats|our chats|what I write|chat logs|transcripts|my prompts|any text|the words]
? [is|are] [there|] [logs|a log|a history|a record|a transcript] of [my|our|the] [chat|conversation|messages|words|text]
? [can|could|does] [the operator|an admin|somebody|you|anyone] [read|see|look at] [my|our] [chat|chats|messages|conversations|prompts]
? [privacy|confidentiality|secrecy] [of my chats|of messages|]
= No, nothing of a conversation is kept: it exists in memory while the request runs, and nowhere else.

? [is|are|do|will|does] [my|our|the] [data|conversations|messages|texts|chats|words|input] [used|be used|used by you|taken] [for training|to train|to train models|to train a model]
? [do|does|will] [you|Keyhall] [train|learn] [on|from] [my|our|the] [data|messages|conversations|texts|words]
? [training|learning] [on|from] my data
? [do|does|will] [a model|the model|anybody|the provider|Keyhall] [learn|train|profit] from [my|our] [chats|prompts|words|data|input]
? [training|model training] [with|on|from] [my|user|our] [data|chats|text|messages]
? [will|do|does] [my|our] [words|texts|questions|data] [end up|land] in [a|the] [training set|model|training data]
= No, nothing of what you send is used for training, and no text is kept that anyone could train on.

? <where> [see|find|look up|get] [what a key used|usage|the usage|my usage|how much was used|what I used|how many tokens a key used|consumption]
? <cmdto> [see|show] [usage|what was used|the usage of a key]
? <how> [see|know|find out] [what|how much] [a key|my key|I|a project|we] [used|has used|have used|consumed]
? [usage|consumption] of [a|my] key
? [consumption|usage|use|tokens used] [of|per|by] [a key|key|each key|project|my key] [, where|, how do I see it|]
? [which|what] key [used|uses|consumes] [the most|most|how much|how many tokens]
? [I want|I'd like] to [see|know] [my|our|the] [usage|consumption|token use|tokens used]
? [show|display|see] usage
= Run `keyhall usage --key KEY`, or open the page `/usage` of the console.

? what [is lost|gets lost|do I lose|happens to usage|happens] [after|at|on|with|by] [a crash|kill -9|a kill|an out-of-memory kill|a crash of the server|when the server is killed|when the server dies]
? [is|does] [usage|metering|a record] [lost|survive|safe] [after|in|at] [a crash|kill -9|a power cut]
? [how much|which] usage is lost [in|after|by] a [crash|kill]
? [can|does] a crash [lose|double] usage
? [the server|Keyhall|it] [was killed|crashed|got killed|died|ran out of memory] [, is usage lost|, what is lost|, what about the numbers|, did I lose anything|]
? [crash|kill -9|out of memory|OOM] [and|:] [usage|metering|the numbers|records] [lost|safe|]
? [crash safety|durability|crash-safe|safety] [of usage|of metering|of the ledger|]
= Nothing is lost: open requests stand in the journal, and the next start settles them.

? what [is lost|do I lose] [in|after|by] [a power cut|a power loss|a crash of the operating system]
+ and [in|after] a power cut
? [power failure|power cut|power outage|blackout|power loss] [: what about the numbers|, what is lost|, is usage lost|and usage|]
? [what if|when] [the power fails|the power goes|the machine loses power|the plug is pulled]
= At most the requests that were open, and the last 250 ms of settled ones.

? <what> [the journal|a journal|the file journal]
? what is the journal [for|good for]
? [why|where] is [there|] [a|the] journal
? [journal|the journal] [meaning|file|explained|purpose|?]
? [where|in which file] [do|are|stand] open requests [stand|kept|recorded|]
= The journal is a file that holds what open requests have used so far, so that a crash loses nothing.

? <what> [the ledger|a ledger]
? what is the ledger [for|]
? [what's|explain] the difference between [the ledger and the journal|journal and ledger]
+ and the ledger
? [ledger|the ledger] [meaning|explained|purpose|?]
? [where|in what] [are|is] [usage|settled requests|usage records|finished requests] [recorded|kept|written]
= The ledger is the append-only record of usage. The journal holds what is still open.

? <what> [the spool|a spool|the file spool]
? [when|why|what for] is [the|a] spool [used|there|written|needed]
? where [does|do] [usage|records] go [when|while] the database is away
+ and the spool
? [spool|the spool] [meaning|file|explained|purpose|?]
? what if the database [disk is full|is away|does not answer|is locked|is down] [: where does usage go|, is usage lost|]
? [usage|records] while [the database|the disk] is [away|full|down|locked]
= The spool is a file that takes usage records while the database is away; later they go there in order, once.

? what [is charged|do I pay|is billed|counts] [when|if] [a client|the client|my client|I] [leaves|disconnects|cancels|hangs up|goes away|leave|disconnect] [in the middle|early|before the end|]
? [does|is] [a request|an answer] [whose client left|that was interrupted] [charged|billed|cost something]
? [costs|charges|the bill] [when|if] [a client|the caller|somebody] [leaves|disconnects|hangs up] [early|half way|]
? [a disconnected|a lost|a vanished] client [: what is charged|, who pays|, what costs|]
= The input, and what was produced until then. If the version drains, all of the answer.

? what is charged [when|if] [an engine|the engine] fails [later|after the first byte|in the middle|]
= Before its first byte nothing; later the input and what was produced.

? [in|per] [what|which] [unit|units] [are|is] [prices|a price|the price] [given|written|set|stated|counted]
? prices [are|is] per [what|which unit|how many tokens]
? [how|in which form] are prices [given|written]
? [unit|units] of [a price|prices|the price|pricing]
? [is|are] [a price|prices] per [token|thousand tokens|million tokens|request]
? [price|prices] [unit|units|per what|for how many tokens]
= In units of your currency per million tokens, one price for input and one for output.

? <who> [sets|decides|makes|chooses|says] [the prices|prices|what a token costs|what it costs|the price of a token|how much I pay]
? [from whom|where] do [the|] prices come
? [do|does] [you|Keyhall] [set|have] [prices|a price list]
? who [fixes|determines|defines|chooses|has set] [the prices|prices|the price|the cost of tokens|what I pay]
? [is|are] [the price|prices|costs] [set|made|given] by [OpenAI|Keyhall|the operator|the provider]
? [responsible|in charge] [for|of] prices
= The operator of this server sets the prices, for each version.

? how is [a cost|the cost|cost] [of a request|] [computed|calculated|rounded]
? [how exact|are costs rounded|how are costs rounded]
= Exactly, in whole nano-units: input and output tokens times their prices, rounded up once per request.

? <how> [limit|cap|bound|restrict|set a bound to] [the money|what a key may spend|spending|the cost|costs|what a project spends|the spending of a key] [per month|per day|]
? <can> [set|have|give a key] a budget
? <how> [set|make] a budget
? <what> [a budget|a spending limit]
? [monthly|daily|a monthly|a daily|a] [spending cap|spending limit|cost limit|budget|money limit|cap] [for|of|on] [a key|my key|a project|a team|one key]
? [a key|my students|a project|nobody] [should|may|must] [not|] spend [more than|at most] [10|50|100|5|20] [a month|per month|a day|]
? [protect|protection|safety] [me|] [from|against] [high costs|a high bill|surprise bills|runaway costs]
? [keep|bound|stop|control] [costs|spending|the cost|money] [of a key|per key|of my project|]
= Set a quota of money: `keyhall quotas set --key KEY --money 12.50 --per month`. In the console it is called a budget.

? <what> [a quota|quotas|the word quota]
? what [can|does] a quota [bound|limit|count]
? [periods|which periods|what periods|for which time|over what time] [can|does|has|may] [a quota|quotas] [have|be|run|hold|of a quota|]
? [is|are] [a quota|quotas] per [minute|day|month|year]
? [day|month|year|week|minute] [as|for] [a|the] [period|quota|period of a quota]
? [quota|quotas] [meaning|period|periods|explained|]
? [how long|for what time|over which period] [does|do|is|are] [a quota|quotas] [run|hold|last|counted]
= A quota bounds a day or a calendar month: so many requests, tokens, or so much money.

? [at|on] [which|what] [percentages|percentage|levels|thresholds] [of a quota|] [is somebody told|are alerts sent|do alerts come|am I warned|is there an alert|does Keyhall warn|is the operator told]
? <when> [is|are|do] [somebody|I|people|the operator|alerts] [told|warned|come|sent|alerted] [of a quota|about a quota|that a quota fills|]
? [alert|default|warning] [thresholds|percentages|levels] [of a quota|]
? <what> [alerts|an alert|quota alerts]
? [do|will|can] [I|we|the operator] [get|receive] [an alert|alerts|a warning|mail|an e-mail] [before|when] [a quota|the budget|my quota] [is used up|fills|ends|is reached]
? [alerts|warnings|notices|notifications] [of|for|about|at] [quotas|a quota|budgets|which levels]
? [levels|steps|marks|percent] [at which|for] [alerts|warnings|an alert] [come|are sent|]
= When a quota reaches {ALERTS} percent, unless you set other percentages with `--alert-at`.

? what happens [past|beyond|above|at the end of|when I reach|after] [a quota|a hard quota|my quota|the quota]
? what happens when [a quota|my quota|a hard quota] is [used up|full|exhausted|reached]
? <what> [a hard quota|a quota that suspends]
? [can|may] a hard quota be passed
? [my|the|a] quota is [used up|full|exhausted|reached|empty|at 100 percent] [, what happens|, what now|]
? [quota|budget] [exceeded|exhausted|used up|reached]
? [can|may] I [pass|exceed|go beyond] [a|my|the] [hard|] quota
= A hard quota is never passed: requests are refused with 429 `insufficient_quota` until its period is over.

? <what> [overage|a quota with overage|the option overage]
? what does overage mean
? <can> [go|use more] [beyond a quota|than a quota|past my quota]
? <how> [allow|charge] more than a quota
+ and overage
? [overage|with overage] [meaning|explained|price|?]
? [use|using|go] more than [a|the|my] quota [allows|] [for a price|for money|]
? [extra|additional] [use|usage|tokens] [beyond|past|over] the quota
= With overage nothing is refused: what is used beyond the quota is recorded with a price of its own.

? <how> [get|make|see|print|have|export] [a statement|statements|the statement of a month|a bill|an invoice|a monthly statement]
? <cmdto> [make|get|see] [a statement|statements|a monthly bill]
? <cmd> [makes|prints] [a statement|statements]
? <what> a statement
? [invoice|bill|statement|account] [for|of] [October|March|last month|the month|June|a month|an organization]
? [monthly|the monthly] [statement|bill|invoice|report|costs]
? [what|how much] [did|does|has] [an organization|acme|a customer|we] [owe|cost|spend|use] [last month|in May|this month|]
? [invoice|bill|statement|invoices|costs] for [October|May|last month|November|the month|January|the last month]
? [the|an|a] [invoice|bill] [of|for] [a month|an organization|a customer|last month] [please|]
= Run `keyhall statements ORGANIZATION --month 2026-11`. It adds up to the ledger's rows exactly.

? <how> [set|make|create|add|give] [a quota|quotas|a monthly quota|a daily quota]
? <cmdto> [set|make|create|add] a quota
? <cmd> [makes|creates|adds] [a quota|quotas]
+ and to set [one|a quota]
? [make|set|create|define|give|add] [a|one] [quota|monthly quota|daily quota|token quota] [for|to|of] [a key|a project|an organization|my team]
? [limit|bound|cap] [a key|a project|an organization] to [a million|5 million|10,000] tokens [a month|per month|a day]
? quotas [set|command|how]
= Run `keyhall quotas set`, such as `keyhall quotas set --key KEY --tokens 5000000 --per month`.

? <how> [list|see] [quotas|my quotas|all quotas]
? <cmdto> [list|see] quotas
? <how> [remove|end] a quota
= `keyhall quotas list` shows them, and `keyhall quotas remove ID` ends one.

? <many> [usage records|records|rows] [does|are written for|are there for|come from|belong to] [a request|each request|every request|one request] [leave|have|]
? [can|is] a request [be|] [recorded|counted|charged] [twice|two times|more than once]
? [does|do] [every request|each request|all requests] [leave|have] a [usage|] record
? [is|are] [each|every|one] request [recorded|counted|metered] [once|exactly once|twice|how often]
? [number|count] of [usage records|records|rows] [per|for a|of a] request
? [double|duplicate|two] [records|counting|charges] [possible|for one request|]
= Every request that is admitted leaves exactly one usage record.

? [do|does|is|are] [refused requests|a refusal|a 429|a request that is refused] [leave a record|recorded|in the ledger|charged|metered|have a usage record|leave usage records]
? [is|are] [there a|] usage [record|records] [of|for] [refused requests|a refusal|a 429]
? [is|are] [rejected|denied|refused|failed] [calls|requests] [recorded|metered|in the ledger|charged|counted as usage]
? [record|usage|entry] of [a rejected|a denied|a refused] [request|call]
= No, refused requests leave no usage record: they used nothing.

? <what> [prepaid credit|credit|prepaid|a prepaid organization]
? how does [credit|prepaying|paying in advance] work
? <how> [add|give|buy|charge|top up] credit
? <cmdto> add credit
? <can> [pay|prepay] in advance
? [prepay|prepaid|pay first|paying in advance|credit] [how|explained|meaning|works|]
? [customers|an organization|a customer|we] [pays|pay|wants to pay|should pay] in advance [, how|]
? [load|add|put|top up] [money|credit] [on|to|for] [an organization|a customer|acme]
= With `keyhall quotas credit add ORGANIZATION AMOUNT` an organization becomes prepaid: what its keys use is taken from the credit, and without any left they are refused.

? [in|of] [which|what] time zone [are|is] [days and months|a day|a month|quotas]
? <when> does [a month|a day|a quota|the month] [begin|end|reset|start]
? <how> change the time zone [of an organization|]
= Days and months are those of the organization's time zone, UTC unless set by `keyhall organizations zone`.

? what does a request [of a test key|with a test key] cost
= Nothing: requests of test keys cost nothing and count in no quota.

? <who> [counts|counted] the tokens [of an answer|in the usage|]
? [whose|which] count is [used|charged]
= The engine's own count is used when it can be true, else Keyhall's tokenizer counts.

? [does|do] [Keyhall|you] [send|phone home|have|collect] [telemetry|data home|anything anywhere|]
? [is there|any] telemetry
= No: Keyhall has no telemetry, fetches nothing at start and looks for no updates.

? <who> [else|] [sees|reads|can see|gets] my [conversation|messages|text]
= The engine that answers, and nobody else. Keyhall keeps nothing of it.

? does Keyhall take payments
? <how> [pay|send invoices|take payments]
= Keyhall meters and makes statements, but it takes no payments. That is the operator's own system.
"""


def entries() -> Iterable[Entry]:
    return read("metering", TEXT)
