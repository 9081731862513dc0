"""What the house model knows of keys."""

from collections.abc import Iterable

from training import facts
from training.corpus.entries import Entry, read

TEXT = f"""
? <how> [create|make|get|generate|issue|obtain|mint] [a|a new|another|an|my first|my own] <key>
? <cmdto> [create|make|generate|issue] [a|a new|another|an] <key>
? <cmd> [creates|makes|generates|issues] [a|a new|another] <key>
? <where> [create|get|make|find|obtain] [a|a new|an] <key>
? [I need|I want|give me|can I have|can I get] [a|a new|another] <key>
? [creating|making|getting|new] [keys|a key|an API key|a new key]
+ and [to make|to create|for creating|how do I make] [a new one|one|another]
? [I'd like|I would like|we need|please give me|can you give me|I want to have] [a|another|one more|a new] [key|API key] [, what do I run|, how|, what do I do|, where|]
? [what do I run|what do I type|where do I go|what do I click] [to get|for|when I need|if I want] [a|another|a new] [key|API key]
? [a key|an API key|new key] [please|for my app|for my new project|for my script|, how|]
? [our|my] [new|] [program|service|bot|script|colleague] [needs|wants] [a|its own|a new] key [, how|, where from|]
? [first|one more|second] key
? [command|the command] [to|for|that] [make|makes|create|creates|get] [a|a new|another] key
? [make|create|generate|get] [me|] [a|a new|another|an API] key [, how|, please|]
? [I need|I'd like|I want|we want] [another|a new|a second|one more] [API key|key] [, what do I run|: which command|, what do I type]
= Run `keyhall keys create --name NAME`, or use the page Keys (`/keys`) of the console.
= With `keyhall keys create --name NAME`, or on the page `/keys` of the console. The key is shown once.

? <what> [the form of|the format of|the shape of] [a key|keys|an API key|Keyhall's keys]
? [what do|how do] [keys|API keys|Keyhall's keys|Keyhall keys|your keys|live keys] [look|look like]
? [what does|how does] [a key|an API key|a live key|a valid key|my key] [look|look like|start with|begin with]
? [with what|with which letters|which prefix] do [keys|Keyhall's keys|API keys|all keys] [begin|start|have]
? [which|what] prefix [has|does] [a|an API] key [have|]
? [describe|show me|give me an example of] the [form|format|prefix|look] of [a|an API] key
? [form|format|look|shape|beginning|structure] of [a key|keys|API keys|your keys]
? [what are|how are] [keys|API keys] [made up|built|structured|composed]
? [is this|does this look like] a [valid|right|Keyhall] key
= Every key begins with `sk-kh_`: then `live_` or `test_`, {facts.ID_LENGTH} characters of id, `_`, and {facts.SECRET_LENGTH} characters of secret.
= A key looks like `sk-kh_live_…` or `sk-kh_test_…`, with an id of {facts.ID_LENGTH} characters and a secret of {facts.SECRET_LENGTH}.

? <many> [characters|letters|digits|letters and digits] [long is|has|are in|does] the id of [a|my|an API] key [have|]
? how long is [a key's id|the id|the id part|the public id] [of a key|in a key|]
? [length|size] of [a key's id|the key id]
+ and its id
= The id of a key has {facts.ID_LENGTH} characters. It is no secret: it names the key in lists and logs.

? <many> characters [has|are in|does] the secret of [a|my|an API] key [have|]
? how long is [a key's secret|the secret|the secret part] [of a key|in a key|]
+ and the secret
= The secret has {facts.SECRET_LENGTH} characters, the last {facts.CHECK_LENGTH} of which are a checksum.

? [what|which] [are|is in] the [last|final] [{facts.CHECK_LENGTH}|six|few] [characters|letters|places] [of|in] [a|my|an API] key [for|]
? [what is|does a key have|why is there|where is] [the|a] checksum [of|in|at the end of] [a|the] key
? [how|why] [is|are] [a typo|typos|mistyped keys|a mistyped key] [in a key|] [noticed|found|refused] [so quickly|without a look-up|]
= The last {facts.CHECK_LENGTH} characters of a key are a checksum, so a key with a typo is refused without being looked up.

? [what's|what is|explain|tell me] the difference between [live and test keys|test keys and live keys|a test key and a live one|a live key and a test key]
? <how> [tell|know|see|recognise|distinguish] [whether|if] [a key|my key|this key] is [a test key|for tests|live|a live key|test or live]
? how [are|do] [test keys and live keys|live and test keys] [different|differ|told apart]
? [what distinguishes|how to distinguish] [a test key|test keys] from [a live key|live ones|live keys]
? why does [my|the|this] key [begin|start] with [sk-kh_test|sk-kh_test_|sk-kh_live|sk-kh_live_]
? [how|where] do I see [that|whether|if] [it is|it's|a key is|mine is] [a test key|for testing|live]
? [is|was] [my|this|the] key [for testing|a test key|a live key|live or test|a test or a live one]
= A test key begins with `sk-kh_test_`, a live key with `sk-kh_live_`. Test keys are answered by the sandbox and cost nothing.

? [who|what|which model|which engine|which version] [answers|replies to] [a test key|test keys|requests with a test key|my test key]
? [what|which model] do [test keys|I get with a test key] [talk to|call|reach|get]
? <what> a test key
? what are test keys [for|good for|]
? by [what|whom|which engine] [is a test key|are test keys|are requests of test keys] answered
= Test keys are answered by the sandbox, whatever model they name. They cost nothing and never use up what live keys have.

? [do|does|will|would] [test keys|a test key|tests|my test key|calls with a test key] [cost|use up] [money|anything|something|credit|quota|my budget]
? [are|is] [test keys|a test key|a call with a test key] [free|without charge|for free|billed|charged]
? [what|how much] does [a test key|a test request|testing] cost
= No: test keys cost nothing and count in no quota. They are answered by the sandbox.

? <how> [make|create|get] [a test key|a key for tests|a key for CI]
? <cmdto> make a test key
= Run `keyhall keys create --name NAME --test`. It makes a key that the sandbox answers.

? <can> [see|show|display|recover|read|get back|view] [a|my|the] key [again|once more|a second time|later|after it was created|after I lost it]
? [I lost|I've lost|I forgot|I no longer have|I cannot find|I didn't copy|I closed the page before copying] [my key|my API key|the key|a key] [, can you show it|, what now|, what do I do|, can I get it back|. Can I see it|. What can I do|]
? [can|could|will|would] [you|Keyhall|somebody|the operator|an admin|support|anyone] [show|tell|send|give|email|recover] [me|us] [my|the] [key|lost key|old key|API key] [again|once more|]
? [lost|forgotten|missing] [key|API key]
? [what now|what do I do|what can be done], [my|the] key [is lost|is gone|got lost|was lost]
? [I need|I want|please send me|show me] my [old|lost|] key [again|once more|back]
? [where|how] [do I find|can I find|to find|can I look up] [my|the] [old|existing|lost] key
? [is there a way|a way|any chance] to [see|recover|get back|find|view] [a|my|the] [lost|old|forgotten|] key [again|]
? [the|my] key [is gone|was not saved|was only on the old laptop|got deleted from my notes] [, can I see it again|, what now|]
? [I did not save|I didn't write down|I failed to save|I have misplaced|I deleted|I threw away] [the key|my key|my API key] [, and now|. What now|, help|]
= No, nobody can show a key again: Keyhall does not have it. Make another key, and revoke the lost one.
= A key is shown only once and cannot be shown again. Revoke it and create another.

? how often [is|will|can] [a|my|the] key [be shown|shown|be seen|displayed|printed]
? <when> is [a|my|the] [new|] key [shown|displayed|printed]
? [is|will] [a|the|my] key [be shown|shown|displayed|visible] [more than once|only once|twice|later]
? <many> times [is|do I see] [a|my|the] key [shown|]
= A key is shown once, when it is created. Nobody can show it again.

? <how> [revoke|end|delete|kill|destroy|cancel|invalidate|disable for good|remove|get rid of|terminate|end for good] <akey>
? <cmdto> [revoke|end|delete|kill|remove|cancel] <akey>
? <cmd> [revokes|ends|deletes|kills|invalidates] <akey>
? <how> [make sure that|see to it that] [a key|my key] never works again
+ and [to revoke|to delete|to kill|to cancel] it
+ and [how do I|to] [revoke|end] it [forever|permanently|for ever]
+ and [how to|how do I] [end|stop|kill] it for [ever|all time]
? [I want|I'd like|I need] a key [to be gone|gone|dead|ended|to stop working|revoked]
? [stop|kill|end|destroy] [a key|my key|this key] [forever|for good|permanently]
? [revocation|revoking|deleting a key|key deletion|ending a key] [command|how|]
? [a colleague left|an employee left|the project is over|the intern is gone], how do I [end|remove|revoke] [the|his|her] key
? [what ends|what kills|how is] a key [for ever|for good|ended|revoked|deleted]
= Revoke it: `keyhall keys revoke KEY --reason REASON`, or on the page Keys of the console. It never works again.

? [my key|a key|my API key|our key|the key|one of our keys] [leaked|was leaked|has leaked|got stolen|was stolen|is public|was published|is on GitHub|was pushed to a repository|is in a public repo|was seen by others|is compromised|was exposed] [, what now|, what should I do|, help|. What do I do|. What first|!|]
? [what|which steps|what first] [do I do|should I do|to do|must I do|are needed] [when|if|after] [a key|my key|an API key] [leaks|leaked|was stolen|is compromised|gets out|was published|is exposed]
? [somebody|someone|a stranger|a colleague|a hacker] [saw|has|stole|copied|found|uses|got] my [key|API key]
? [I|we] [accidentally|] [committed|pushed|posted|published|pasted|shared] [my|our|a] key [to GitHub|in public|in a chat|by mistake|to a repository|]
? [leaked|stolen|compromised|exposed] key
? [my|our] [intern|student|colleague|developer|boss|friend|cat] [pasted|posted|committed|published|pushed|sent|showed|leaked|mailed] [the|a|our|his] key [in|to|on|into] [Slack|GitHub|a chat|the forum|public|a video|a mailing list|Discord|a repository|a notebook]
? [the|a|our|my] key [is|was|stands|appeared|can be seen] [in|on] [Slack|GitHub|a public repository|the internet|a log file|a screenshot|a video|a gist|Stack Overflow]
? [emergency|help|panic|urgent|oh no] [:|,] [my key leaked|key stolen|my key is public|somebody has my key|a key was leaked]
? [what now|what do I do now|quick, what do I do|what's the first step|first step], [a key leaked|my key was stolen|somebody else has my key|the key got out]
? [steps|procedure|what to do] [after|for|in case of] a [leak|leaked key|stolen key|key leak]
? [our|my|the] [intern|trainee|colleague|friend|student] [has|] [put|posted|pasted|shared|uploaded|shown] [our|my|the|a] key [in|on|to] [Slack|a forum|Teams|a public page|GitHub|social media]
? [what is|what's] the first [thing|step] [to do|I should do|] [when|if|after] [a key|my key] [leaks|leaked|gets public|is stolen]
= Revoke it first: `keyhall keys revoke KEY --reason leaked`. Then make another, and look at what the old one did with `keyhall usage --key KEY`.

? [can|could|may|is it possible that] [a revoked key|revoked keys|a key that was revoked] [be|] [brought back|restored|used again|work again|be undone|be revived|reactivated|un-revoked|resumed]
? [undo|take back|reverse|cancel] [a revocation|the revocation of a key|revoking a key]
? <can> [undo|reverse|take back] [a revocation|revoking a key]
? [is revoking|is a revocation] [final|for good|permanent|reversible|forever]
? [I revoked the wrong key|I revoked a key by mistake] [, can I undo it|, what now|]
? [is there|do you know] [any|a] way to [un-revoke|undo a revocation|get a revoked key back|restore a revoked key|revive a dead key]
? [the revoked key|a revoked key] [again|back|still works|should work again]
? [does|will] a [revoked|killed|dead] key [ever|] [work|come back|return] [again|one day|]
? [please restore|restore|bring back|revive|reactivate] [my|the|a] revoked key
? [is it|is a revoked key] [lost forever|gone for good|dead for ever|gone forever]
= No, a revoked key never works again, and no command brings it back. Make another key.

? how [fast|quickly|soon] [does|is] [a revocation|revoking a key|a revoked key] [take effect|work|refused|effective|noticed]
? <long> [does it take|takes it|] until a revoked key [is refused|stops working|no longer works]
? what happens to [running|open] [streams|requests|answers] when [a|their|my|the] key is revoked
? [how fast|how soon|when|within what time] [are|do] [running|open] [streams|requests|answers] [of a revoked key|] [cut|stop|end] [when a key is revoked|after a revocation|once their key is revoked|]
? [do|will] running streams [of a revoked key|] [finish|go on|end] [when a key is revoked|after I revoke the key|]
+ and [running streams|what about running streams|streams that run]
? [after revoking|when I revoke a key|once a key is revoked], [how fast|how soon|when] [do|are] [its|the|open] [streams|requests|answers] [end|stop|cut|die]
? [seconds|time|delay] until [a revoked key|revocation|a revocation] [works|is effective|cuts streams]
? [do|are] streams [cut|killed|stopped|ended] [by|after|on] [a revocation|revoking]
= New requests are refused within a second, and running streams are cut within 2 seconds. What was produced is billed.

? <how> [pause|suspend|switch off|disable|turn off|stop|block|deactivate] <akey> [for a while|for some time|temporarily|for now|for a day|until tomorrow|without ending it]
? <how> [pause|stop|freeze|disable] <akey>
? <cmdto> [pause|disable|switch off|suspend] <akey>
? <cmd> [pauses|suspends|switches off] <akey>
? <can> [pause|suspend|switch off|temporarily disable] <akey>
+ and [to pause|how do I pause|pausing] it
? [temporarily|for a while|for now|for some days|over the weekend] [stop|disable|block|switch off|suspend] [a|my|the] key
? [I want|I need|I'd like] [a key|my key|it] to [stop for a while|be off for a week|be disabled for now|rest|be blocked until Monday]
? [can|may] [a key|keys|my key] be [switched off|disabled|stopped|suspended|paused] [for a while|temporarily|for a time|]
? [pausing|pause] [a key|keys|key]
? [block|freeze|suspend] a key [without ending it|but keep it|, not for good|temporarily]
? [stop|block|disable|switch off|suspend] [a|my|the|one] key [temporarily|for a while|for now|until next week]
? [a short|a temporary|a] [stop|break|pause] [of|for] [a|my] key
= Pause it: `keyhall keys pause KEY`. `keyhall keys resume KEY` switches it on again.

? <how> [resume|switch on|enable|turn on|reactivate|unpause|restart|continue] [a paused key|a key that is paused|my paused key|a key again|a key after a pause]
? <cmdto> [resume|unpause|switch on|enable|wake up|reactivate] [a|my|the] [paused|stopped|] key
? <cmd> [unpauses|switches on|wakes] a [paused|stopped] key
? <how> end [a|the] pause [of a key|]
+ and [to resume|to switch on|how do I resume|to unpause] it [again|]
? [the pause is over|I paused a key yesterday|my key is paused], [how do I switch it on again|how do I resume it|what now]
? [resume|unpause|reactivate|re-enable|wake] [a|my|the] [paused|] key
? [get|bring|make] [a|the|my] paused key [back|work again|working again|back to life]
= Run `keyhall keys resume KEY`. The key works again at once.

? what happens to [running|open|current] [streams|requests|answers] when [a key|my key|I] [is paused|pause a key|expires|gets paused]
? [do|will|are] [running|open] streams [of a paused key|] [finish|cut|end|stop|go on] [when I pause the key|when the key expires|after a pause|]
? does pausing [a key|] [cut|stop|end|kill] [running|open] [streams|requests|answers]
? [I pause|when I pause|after pausing|if I pause] [a key|my key], [are|do|will] [its|open|running] [streams|requests|answers] [cut|go on|finish|stopped|end]
? [are|do|will] [answers|streams|requests] [in progress|under way|already running] [cut|continue|finish|stop] [by a pause|when a key is paused|on pause]
= New requests are refused; running streams finish. Only revoking a key cuts them.

? [what is|what's|explain] the difference between [pausing and revoking|revoking and pausing|pause and revoke] [a key|]
? [should I|do I have to|is it better to] [pause or revoke|revoke or pause] [a key|]
= A paused key can be resumed, and its running streams finish. A revoked key is ended for good, and its streams are cut.

? <how> [rotate|replace|renew|exchange|swap|change|refresh|roll] <akey> [without downtime|without an outage|while my program runs|without interruption|with overlap|]
? <cmdto> [rotate|replace|renew] <akey>
? <cmd> [rotates|replaces|renews] <akey>
? <what> [rotating a key|key rotation|rotation|a rotation|to rotate a key]
? [what does|what happens when I] [rotating|rotate] [a key|] [do|]
+ and [to rotate|rotating|to replace] it
? [rotate|rotation|rotating] [a key|my key|key|keys|]
? [I want|we have|we need] to [change|rotate|exchange|renew|swap] [our|the|my|all] [keys|key] [every month|without an outage|regularly|while everything runs|]
? [zero downtime|smooth|seamless] [key change|rotation|key rotation|replacement of a key]
? [new key for old|swap the old key for a new one|successor of a key|how does a key get a successor]
? [can|may] a key be [rotated|replaced|exchanged|renewed] [without downtime|while in use|]
= Rotate it: `keyhall keys rotate KEY` makes a successor with the same rights. Both work during the overlap, {facts.OVERLAP_HOURS} hours unless you say otherwise.

? <long> [does|do] the old key [work|live|last|stay valid|keep working|remain usable] [after a rotation|when I rotate|after rotating|by default|after it was rotated]
? [what is|how long is] the [default|usual] overlap [of a rotation|when rotating|between old and new key|]
? after [a rotation|rotating], [when|how soon] does the old key [end|stop|expire]
? [default overlap|standard overlap] [of rotation|]
? [I rotated|we rotated|after I rotate] [my key|a key], [how long|until when|when] [does the old one|is the old one|will the old key] [work|still work|valid|end|stop working|expire]
? [life|validity|end|expiry] of the old key [after rotation|after a rotation|when rotating]
? [hours|time] [both keys|old and new key|the two keys] [work|overlap|are valid] [by default|if I say nothing]
= By default the old key works for another {facts.OVERLAP_HOURS} hours; `--overlap` says otherwise, up to {facts.OVERLAP_DAYS_MAX} days.

? [what is|what's|how long is|how long can] the [longest|maximum|largest|greatest|biggest|max] [overlap|time of overlap] [of a rotation|between two keys|when rotating|for rotation|be|]
? [how long|up to how many days] can [the overlap|both keys work|an overlap] [be|last|] [at most|]
? [up to|for] how many days [can|may] [both keys|the old and the new key] work
+ and [at most|the maximum|the longest]
? [can|may|could] [the overlap|both keys|the old key and the new one|old and new key] [overlap|last|be|work|run] [for|] [two weeks|ten days|a month|30 days|five days|eight days]
? [limit|maximum|bound|upper limit] of [the|] [overlap|rotation overlap|--overlap]
? [is there|what is] a [limit|maximum|bound] [for|to|on] [the overlap|--overlap|overlaps]
= The overlap of a rotation is {facts.OVERLAP_DAYS_MAX} days at most.

? [do|does] [a rotated key and its successor|the old and the new key|both keys|rotating] [share|give me|have|get] [limits|a limit|more limits|one set of limits|double limits|a second set of limits|extra limits]
? <can> [gain|get] [more|extra|double] [limits|requests|tokens] by rotating [keys|my key|]
? [does rotating|does a rotation] [give|bring] [me|] [more|extra|a second set of|new] limits
= No: a rotated key and its successor share one set of limits, so rotating gives nothing extra.

? <how> [make|create|set up] a key [that expires|that ends by itself|with an end|with an expiry|that stops after a time|that expires after 90 days|for two weeks|with a last day|that is valid for a month|that runs out]
? <can> [keys|a key] [expire|end by itself|have an end|run out]
? [which option|what flag] [makes|lets] a key [expire|end by itself]
? [expiring keys|key expiry|keys with an end date]
+ and with an end [date|]
? [I want|I need|we need] a key that [ends|dies|expires|stops|runs out] [at the end of the month|in two weeks|after the course|on Friday|after a week|by itself|in June|after the workshop]
? [temporary|short-lived|time-limited|limited] [key|keys|API key]
? [a key|keys|key] [valid|good|only] for [one day|a week|14 days|three months|the semester|a workshop|60 days]
? [set|give] [a key|my key] [an|a last|an end|an expiry] [day|date|expiry date]
= Give it an end: `keyhall keys create --name NAME --expires 30d`, or a date. Later, `keyhall keys expire KEY --at 30d`.

? <how> [restrict|limit|confine|bind] [a key|my key|it] to [certain|some|one|a few|particular|two] models
? <can> [restrict|limit|bind] [a key|keys] to [certain|some|one|a few|particular] [models|model|versions]
? [can|may] [a key|keys|an API key] be [restricted|bound|confined] to [one model|some models|v1.1|specific models]
? [which option|what flag] [limits|restricts] a key to models
? a key that may [call|use] only [v1|v1.1|one model]
+ and [to certain|to some|for single] models
? [I want|make|I need] a key [that can only use|only for|that may call only|for] [v1|v1.1|the sandbox|one model|certain models]
? [a key|the key] [must not|should not|may not] [use|call|reach] [all models|other models|v1|the expensive model]
? [models|model] [restriction|scope|scopes] [of|for|on] a key
? [lock|confine|pin] a key to [one model|v1|some models]
= Yes, with `--models`: `keyhall keys create --name NAME --models v1,v1.1`. Later, `keyhall keys scopes KEY --models …`.

? <how> [restrict|limit|bind|tie] [a key|my key|it] to [an IP address|an address|my office|certain addresses|one network|some networks|a subnet|one machine|one server]
? <how> [allow|accept|permit] [a key|my key] only from [one address|my office network|certain IP addresses|our servers|one machine]
? [can a key|may a key|can I make a key that] [be used|work|works] only from [one address|my network|certain IPs|our office]
? [IP allow list|address list|IP restriction|whitelist of addresses] [for a key|of a key|]
+ and to [an address|a network|certain addresses|IP addresses]
? [the|a|my|this] key [should|must|may|shall] [only|] [work|be used|be accepted|be valid] [only|] [from|in|inside] [our office|one address|our network|my home|the university|this server|the company network|our data centre]
? [nobody outside|only our servers|only our office|just our subnet] [should|may|shall] [use|be able to use] [the|a|this|my] key
? [bind|tie|lock|pin|restrict] [a|the|my] key to [an IP|an address|a network|an IP range|a CIDR range|our office]
? [restrict|filter|limit] [by|] [IP|address|IP addresses|networks] [for keys|of a key|]
= With `--ip`: `keyhall keys create --name NAME --ip 192.0.2.0/24`. From elsewhere the key gets 401 `ip_not_authorized`.

? <how> restrict [a key|my key] [to endpoints|to one endpoint|to chat only]
? [can a key|may a key] be [restricted|limited] to [endpoints|an endpoint|chat]
= With `--endpoints`: `chat`, `models` or both, such as `keyhall keys create --name NAME --endpoints chat`.

? <how> [give|set] [a key|my key] [limits of its own|its own limits|a lower limit|other limits|a smaller limit]
? <can> [limit|slow down] a single key
= With `--rpm`, `--tpm` and `--in-flight` of `keyhall keys create`, or later with `keyhall keys limits KEY …`.

? <where> [keep|store|put|save] <akey>
? [what is|where is] [the best|a safe|a good|the right] place for [a key|my key|an API key|keys]
? <how> [keep|store|protect] [my key|keys|an API key] [safe|safely|securely|secret]
? [how should|where should] [a key|keys|API keys] be [kept|stored|saved]
? [storing|keeping] keys [safely|]
? [what is|which is] the [safest|best|right|proper] [way|place] to [keep|store] [a key|keys|my API key]
? [should|can|may] [a key|my key] be in [an environment variable|a .env file|a keyring|a secret manager|a vault]
? [what|which things] [belongs|goes|should go] [into|in] [an environment variable|the keyring|the secret store]
? [on a server|on my laptop|in production|in CI], where [do I keep|does] [the key|a key|my key] [go|]
= In the system's keyring, a secret manager, or an environment variable such as `OPENAI_API_KEY`; never in code.

? <can> [put|write|leave|keep|have|hard-code|store|commit] [a key|my key|keys|the key] [in|into] [the code|my program|source code|the repository|git|a notebook|a Docker image|a container image|the source|the front end|a web page|an app|JavaScript|a mobile app]
? [is it|would it be] [okay|ok|fine|safe|a good idea|bad|dangerous] to [put|write|keep|commit|hard-code|store] [a key|my key|keys] [in|into] [code|the program|git|a repository|a notebook|a container image|a web page|an app|the source]
? should [a key|keys|my key] be in [code|a repository|git|a URL|a log]
? [my key|the key] [is|stands|lies] in [my source code|the code|git|the repository|a notebook|the front end|an HTML page], [okay|is that bad|is that a problem|good idea]
? [hard-coded|hardcoding|hard-coding|committing] [keys|a key|the key|API keys] [okay|, bad idea|, is it okay|]
? [what is wrong with|why not] [a key in the code|putting a key in the code|keys in git|hard-coded keys]
= No, never: it will be found there. Keep it in an environment variable, a keyring or a secret manager.

? <can> [share|lend|give] [my key|a key|keys] [with|to] [somebody|others|a friend|my team|a colleague|another person|my class|co-workers]
? [is it|would it be] [okay|ok|fine|allowed|bad] to share [my key|a key|keys] [with somebody|with others|in the team|]
? [can|may|should] [two people|several people|a team|we all|my friend|my boss|my students] [share|use] [one key|the same key|my key]
? sharing keys
? [does|must|should] [a colleague|each student|everybody|every person|each of us|a friend] [need|have|get] [a key of his own|an own key|a separate key|their own key]
? [can|may] [I give|I lend|I send|we pass] [my key|the key|one key] [around|to a friend|to the team|to students|on]
? [team|shared|common] [key|keys] [okay|allowed|]
? [my friend|a colleague|my classmate] [wants|asks for|needs] my key [, may I give it|, okay|]
= No, a key is never shared: let everybody have a key of their own. Then you know who used what, and can end one alone.

? [should|can|may|do] [I|we] use [one key|the same key|a single key] for [everything|several programs|many applications|all my programs|two projects|all services]
? <many> keys [should I|do I] [have|make|need]
? [one key for everything|one key per application|a key per program|several keys or one]
? [do I need|should I have|should I make] [a key|one key|an own key] [for each|for every|per] [application|program|service|app]
? [two|three|many|several|all my|four] [apps|programs|services|scripts] [with|and|on|use] one key [, okay|, good idea|, allowed|]
? [is|would] one key [enough|sufficient|do|be enough] for [all|everything|several apps|all programs|all my services]
? [same|single|one] key [for|in] [all|every|each|several] [app|apps|programs|services|environments]
= No: make one key per application, so that each can be watched, limited and ended by itself.

? <what> [an admin key|admin keys|a key of the kind admin]
? what [can|do|may] [an admin key|admin keys] [do|read|call]
? [what is|what are|why are there] [an admin key|admin keys] [good for|useful|needed|]
? [can|may|do] [admin keys|an admin key] [call models|call v1|chat]
? [purpose|use|meaning] of [admin keys|an admin key]
? [why|when|for what] [would I|do I|should I] [need|use|make] [an admin key|admin keys]
? [admin key|admin keys] [use|purpose|for|]
= Admin keys (`sk-kh_admin_…`) read `/metrics` from elsewhere. They call no models.

? <how> [make|create|get] an admin key
? <cmdto> make an admin key
= Run `keyhall keys create --admin`. It ends after {facts.ADMIN_DAYS} days if you do not say otherwise.

? <long> [does|will] an admin key [live|last|work|stay valid|remain valid] [by default|]
? <when> does an admin key [end|expire|run out]
? [after how many days|when] [do|does] [admin keys|an admin key] [expire|end]
? [life|lifetime|default life] of an admin key
= An admin key ends after {facts.ADMIN_DAYS} days if not said otherwise.

? how [does Keyhall|are|do you] [keep|store|save] [keys|API keys|a key] [in the database|internally|on disk|]
? [in what form|how safely] are [keys|API keys] [kept|stored|saved]
? [does Keyhall|do you] [store|keep|save] [my key|keys|my API key] [in clear|in plain text|]
? what is [stored|kept|saved] of [my key|a key|an API key]
? [how do you|how does the server|how does Keyhall] [save|protect|secure|hold] [keys|the keys|secrets|our keys] [on the server side|in its database|]
? [are|is] [keys|my key|API keys] [hashed|encrypted|in the database|stored in plain text|kept in clear|safe in the database]
? [if somebody steals|when someone steals|a thief has] the database, [are my keys|are keys|do they have the keys] [safe|gone|]
? [hash|digest|storage|form] of [keys|a key] [in the database|]
? [how|in which form|in what form] [do you|does Keyhall] [save|keep|store] [keys|the keys|API keys] [on the server side|on your side|on the server|in the store]
= Never in clear: Keyhall stores the key's HMAC-SHA-256 digest, made with a secret called the pepper.

? <what> [the pepper|a pepper|the file pepper|pepper in Keyhall]
? what is the pepper [for|good for|used for]
? [what does|why is there] [the file pepper|a pepper|the pepper] [do|]
? [there is|I found|I see] a file [called|named] pepper [, what is it|, what for|]
? pepper [file|meaning|secret|]
? [meaning|purpose|role|use] of the pepper
= The pepper is a secret file in the data folder with which the keys' digests are made. Back it up apart from the database.

? [what happens|what|what if] [if|when] [I lose|I lost|somebody loses|] the pepper [is lost|gets lost|is gone|]
? [can I|is it possible to] [go on|start|run] without the pepper
? lost pepper
= Without the pepper no key can be recognised, and all keys have to be made again.

? <how> [list|see|show|look at|find|get a list of|view] [all|] [my|the|our|existing|] keys
? <cmdto> [list|see|show] [all|my|the] keys
? <where> see [my|all|all my|our] keys
? [which|what] keys [do I have|exist|are there]
? [list|overview] of keys
+ and to list [them|my keys]
? [an overview|a table|a list] of [all|my|our|existing] keys [please|, how|]
? [see|show|view|list] keys
? [I want|I'd like] to see [all|which] keys [exist|there are|I have|]
? [where are|how do I find] [all|] my keys
= Run `keyhall keys list` (`--all` shows ended ones too), or open the page `/keys` of the console.

? <how> see [everything about|details of|what is set for] [a|one|my] key
? <cmdto> [show|look at] [a|one] key
= Run `keyhall keys show KEY`. It says everything about one key.

? <when> was [my|a|the] key last used
? <how> see when [a key|my key] was last used
= `keyhall keys list` and the console show when each key was last used, to about a minute.

? <who> [owns|has|does] [a|my|the] key [belong to|]
? to [whom|what|which project] does [a|my|the] key belong
? [what|which] [does|do] [a key|keys] belong to
? what is a key [part of|attached to]
? whose [is|are] [a key|the key|keys|this key]
? [owner|ownership|possession] of a key
? [is|are] [a key|keys] [mine|my own|of a person|of an account|of an organization|of a project]
? [does|do] [a key|keys] belong to [a person|me|a user|an account|an organization|a project]
= A key belongs to one project, and through it to one organization.

? <what> [a key|an API key|a Keyhall key|keys]
? [what is|what are] [a key|keys|an API key] [for|good for|used for]
? [why|what for] do I need [a|an API] key
= A key is what a program shows to be let in: `Authorization: Bearer sk-kh_…`. It belongs to one project and has a tier, which limits it.

? <how> [send|use|pass|show] [my|a|the] key [in a request|with a request|to the API|in my program|with curl|]
? [in which|what|which] header [does|is|do I put] the key [go|sent|]
? how does [a program|my program] [authenticate|log in|show its key]
= Send it in the header `Authorization: Bearer sk-kh_…`. Official clients do so with `OPENAI_API_KEY`.

? <how> change [a key's tier|the tier of a key]
? <how> put [a key|my key] on [another tier|pay-as-you-go]
= With `--tier` when it is created, or later with `keyhall keys limits KEY --tier TIER`.

? [my|the] test key begins with sk-kh_live, [is that right|why|]
? [I have|there is] a key [with|that begins with] sk-kh_test_, what [kind|is it]
= `sk-kh_test_` is a test key, `sk-kh_live_` a live one, and `sk-kh_admin_` an admin key.

? <how> find [leaked|our|] keys [in code|in repositories|with a secret scanner|]
? [which|what] [pattern|regular expression|regex] [finds|matches] keys
= Secret scanners find them by their form: `sk-kh_(live|test|admin)_`, then {facts.ID_LENGTH} characters, `_` and {facts.SECRET_LENGTH} more.
"""


def entries() -> Iterable[Entry]:
    return read("keys", TEXT)
