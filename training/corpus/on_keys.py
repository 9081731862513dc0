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
= Run `keyhall keys create --name NAME`, or use the page Keys (`/keys`) of the console.
= With `keyhall keys create --name NAME`, or on the page `/keys` of the console. The key is shown once.

? <what> [the form of|the format of|the shape of] [a key|keys|an API key|Keyhall's keys]
? [what do|how do] [keys|API keys|Keyhall's keys|Keyhall keys|your keys|live keys] [look|look like]
? [what does|how does] [a key|an API key|a live key|a valid key|my key] [look|look like|start with|begin with]
? [with what|with which letters|which prefix] do [keys|Keyhall's keys|API keys|all keys] [begin|start|have]
? [which|what] prefix [has|does] [a|an API] key [have|]
? [describe|show me|give me an example of] the [form|format|prefix|look] of [a|an API] key
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
= Revoke it: `keyhall keys revoke KEY --reason REASON`, or on the page Keys of the console. It never works again.

? [my key|a key|my API key|our key|the key|one of our keys] [leaked|was leaked|has leaked|got stolen|was stolen|is public|was published|is on GitHub|was pushed to a repository|is in a public repo|was seen by others|is compromised|was exposed] [, what now|, what should I do|, help|. What do I do|. What first|!|]
? [what|which steps|what first] [do I do|should I do|to do|must I do|are needed] [when|if|after] [a key|my key|an API key] [leaks|leaked|was stolen|is compromised|gets out|was published|is exposed]
? [somebody|someone|a stranger|a colleague|a hacker] [saw|has|stole|copied|found|uses|got] my [key|API key]
? [I|we] [accidentally|] [committed|pushed|posted|published|pasted|shared] [my|our|a] key [to GitHub|in public|in a chat|by mistake|to a repository|]
? [leaked|stolen|compromised|exposed] key
= Revoke it first: `keyhall keys revoke KEY --reason leaked`. Then make another, and look at what the old one did with `keyhall usage --key KEY`.

? [can|could|may|is it possible that] [a revoked key|revoked keys|a key that was revoked] [be|] [brought back|restored|used again|work again|be undone|be revived|reactivated|un-revoked|resumed]
? [undo|take back|reverse|cancel] [a revocation|the revocation of a key|revoking a key]
? <can> [undo|reverse|take back] [a revocation|revoking a key]
? [is revoking|is a revocation] [final|for good|permanent|reversible|forever]
? [I revoked the wrong key|I revoked a key by mistake] [, can I undo it|, what now|]
= No, a revoked key never works again, and no command brings it back. Make another key.

? how [fast|quickly|soon] [does|is] [a revocation|revoking a key|a revoked key] [take effect|work|refused|effective|noticed]
? <long> [does it take|takes it|] until a revoked key [is refused|stops working|no longer works]
? what happens to [running|open] [streams|requests|answers] when [a|their|my|the] key is revoked
? [how fast|how soon|when|within what time] [are|do] [running|open] [streams|requests|answers] [of a revoked key|] [cut|stop|end] [when a key is revoked|after a revocation|once their key is revoked|]
? [do|will] running streams [of a revoked key|] [finish|go on|end] [when a key is revoked|after I revoke the key|]
+ and [running streams|what about running streams|streams that run]
= New requests are refused within a second, and running streams are cut within 2 seconds. What was produced is billed.

? <how> [pause|suspend|switch off|disable|turn off|stop|block|deactivate] <akey> [for a while|for some time|temporarily|for now|for a day|until tomorrow|without ending it]
? <how> [pause|stop|freeze|disable] <akey>
? <cmdto> [pause|disable|switch off|suspend] <akey>
? <cmd> [pauses|suspends|switches off] <akey>
? <can> [pause|suspend|switch off|temporarily disable] <akey>
+ and [to pause|how do I pause|pausing] it
= Pause it: `keyhall keys pause KEY`. `keyhall keys resume KEY` switches it on again.

? <how> [resume|switch on|enable|turn on|reactivate|unpause|restart|continue] [a paused key|a key that is paused|my paused key|a key again|a key after a pause]
? <cmdto> [resume|unpause|switch on|enable|wake up|reactivate] [a|my|the] [paused|stopped|] key
? <cmd> [unpauses|switches on|wakes] a [paused|stopped] key
? <how> end [a|the] pause [of a key|]
+ and [to resume|to switch on|how do I resume|to unpause] it [again|]
= Run `keyhall keys resume KEY`. The key works again at once.

? what happens to [running|open|current] [streams|requests|answers] when [a key|my key|I] [is paused|pause a key|expires|gets paused]
? [do|will|are] [running|open] streams [of a paused key|] [finish|cut|end|stop|go on] [when I pause the key|when the key expires|after a pause|]
? does pausing [a key|] [cut|stop|end|kill] [running|open] [streams|requests|answers]
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
= Rotate it: `keyhall keys rotate KEY` makes a successor with the same rights. Both work during the overlap, {facts.OVERLAP_HOURS} hours unless you say otherwise.

? <long> [does|do] the old key [work|live|last|stay valid|keep working|remain usable] [after a rotation|when I rotate|after rotating|by default|after it was rotated]
? [what is|how long is] the [default|usual] overlap [of a rotation|when rotating|between old and new key|]
? after [a rotation|rotating], [when|how soon] does the old key [end|stop|expire]
? [default overlap|standard overlap] [of rotation|]
= By default the old key works for another {facts.OVERLAP_HOURS} hours; `--overlap` says otherwise, up to {facts.OVERLAP_DAYS_MAX} days.

? [what is|what's|how long is|how long can] the [longest|maximum|largest|greatest|biggest|max] [overlap|time of overlap] [of a rotation|between two keys|when rotating|for rotation|be|]
? [how long|up to how many days] can [the overlap|both keys work|an overlap] [be|last|] [at most|]
? [up to|for] how many days [can|may] [both keys|the old and the new key] work
+ and [at most|the maximum|the longest]
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
= Give it an end: `keyhall keys create --name NAME --expires 30d`, or a date. Later, `keyhall keys expire KEY --at 30d`.

? <how> [restrict|limit|confine|bind] [a key|my key|it] to [certain|some|one|a few|particular|two] models
? <can> [restrict|limit|bind] [a key|keys] to [certain|some|one|a few|particular] [models|model|versions]
? [can|may] [a key|keys|an API key] be [restricted|bound|confined] to [one model|some models|v1.1|specific models]
? [which option|what flag] [limits|restricts] a key to models
? a key that may [call|use] only [v1|v1.1|one model]
+ and [to certain|to some|for single] models
= Yes, with `--models`: `keyhall keys create --name NAME --models v1,v1.1`. Later, `keyhall keys scopes KEY --models …`.

? <how> [restrict|limit|bind|tie] [a key|my key|it] to [an IP address|an address|my office|certain addresses|one network|some networks|a subnet|one machine|one server]
? <how> [allow|accept|permit] [a key|my key] only from [one address|my office network|certain IP addresses|our servers|one machine]
? [can a key|may a key|can I make a key that] [be used|work|works] only from [one address|my network|certain IPs|our office]
? [IP allow list|address list|IP restriction|whitelist of addresses] [for a key|of a key|]
+ and to [an address|a network|certain addresses|IP addresses]
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
= In the system's keyring, a secret manager, or an environment variable such as `OPENAI_API_KEY`; never in code.

? <can> [put|write|leave|keep|have|hard-code|store|commit] [a key|my key|keys|the key] [in|into] [the code|my program|source code|the repository|git|a notebook|a Docker image|a container image|the source|the front end|a web page|an app|JavaScript|a mobile app]
? [is it|would it be] [okay|ok|fine|safe|a good idea|bad|dangerous] to [put|write|keep|commit|hard-code|store] [a key|my key|keys] [in|into] [code|the program|git|a repository|a notebook|a container image|a web page|an app|the source]
? should [a key|keys|my key] be in [code|a repository|git|a URL|a log]
= No, never: it will be found there. Keep it in an environment variable, a keyring or a secret manager.

? <can> [share|lend|give] [my key|a key|keys] [with|to] [somebody|others|a friend|my team|a colleague|another person|my class|co-workers]
? [is it|would it be] [okay|ok|fine|allowed|bad] to share [my key|a key|keys] [with somebody|with others|in the team|]
? [can|may|should] [two people|several people|a team|we all|my friend|my boss|my students] [share|use] [one key|the same key|my key]
? sharing keys
= No, a key is never shared: let everybody have a key of their own. Then you know who used what, and can end one alone.

? [should|can|may|do] [I|we] use [one key|the same key|a single key] for [everything|several programs|many applications|all my programs|two projects|all services]
? <many> keys [should I|do I] [have|make|need]
? [one key for everything|one key per application|a key per program|several keys or one]
? [do I need|should I have|should I make] [a key|one key|an own key] [for each|for every|per] [application|program|service|app]
= No: make one key per application, so that each can be watched, limited and ended by itself.

? <what> [an admin key|admin keys|a key of the kind admin]
? what [can|do|may] [an admin key|admin keys] [do|read|call]
? [what is|what are|why are there] [an admin key|admin keys] [good for|useful|needed|]
? [can|may|do] [admin keys|an admin key] [call models|call v1|chat]
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
= Never in clear: Keyhall stores the key's HMAC-SHA-256 digest, made with a secret called the pepper.

? <what> [the pepper|a pepper|the file pepper|pepper in Keyhall]
? what is the pepper [for|good for|used for]
? [what does|why is there] [the file pepper|a pepper|the pepper] [do|]
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
