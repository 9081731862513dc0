"""What the house model knows of versions and aliases."""

from collections.abc import Iterable

from training import facts
from training.corpus.entries import Entry, read

F, P = facts.CALM_FREQUENCY, facts.CALM_PRESENCE

TEXT = f"""
? [what's|what is|tell me|explain|where is] the difference between [v1 and v1.1|v1.1 and v1|the two versions|the two models|version 1 and version 1.1]
? how [is|does] v1.1 [different|differ|better] [from v1|than v1|]
? [compare|v1 or|v1 versus|v1 vs] v1.1 [and v1|to v1|]
? [should I|when should I|do I] [use|take|choose|pick] v1 or v1.1
? [is|would] v1.1 [better|worse|newer|nicer|other] [than v1|]
? [v1.1|v1] or [v1|v1.1] [?|, which|, which one|, what is better]
? [differences|difference|comparison|v1 v1.1|change] [between|of|from] [v1 and v1.1|v1 to v1.1|the versions]
? which [is|one is|version is] [better|newer|the better one] , v1 or v1.1
= v1 is the default. v1.1 repeats itself less and is more coherent.

? <what> [v1.1|version 1.1|the model v1.1|keyhall-v1.1]
? [why|when] [should|would|do] [I|one|people] [choose|use|take|prefer|pick|want|switch to|ask for] v1.1
? what [does v1.1 do|is new in v1.1|is better in v1.1|is special about v1.1|is v1.1 good for|are the advantages of v1.1]
? [advantages|benefits|use] of v1.1
? [my answers repeat themselves|the model repeats itself|v1 says the same again and again] [, what can I do|]
+ and [v1.1|what about v1.1|what is v1.1|version 1.1]
? [what does|why is there|why do you offer] v1.1 [bring|improve|change|]
? [repetition|repetitions|repeating|the model loops|answers go in circles|it repeats sentences|less repetition] [, which model|, what helps|, which version|]
? [which|what] [model|version] [repeats|repeats itself] [less|least]
? [a|the|which] [version|model] [against|without|with less] [repetition|repeating itself]
= v1.1 repeats itself less than v1 and is more coherent.

? <what> [v1|version 1|the model v1|keyhall-v1]
? what does v1 [mean|stand for]
+ and v1
= v1 is the default: a name that stands for a version. The field `model` of the answer says which one answered.

? [which|what] [model|version|alias|name] is [the default|default|used by default|the standard one|the usual one]
? [what|which] model [do I get|answers|is used] [by default|if I do not care|normally|usually]
? [default|standard] [model|version]
? which model [should I|do I] [name|send|use|take] [first|to begin|]
= `v1` is the default.

? <what> [an alias|aliases|the word alias]
? what [is an alias for|are aliases good for]
? [what's|what is|explain] the difference between [an alias and a version|a version and an alias|aliases and versions]
? <what> [a version|versions|a version record]
+ and an alias
? [alias|aliases|an alias] [meaning|definition|explained|?|in Keyhall]
? [is|are] [v1|v1.1|v1 and v1.1|keyhall-v1] [a version|an alias|aliases|versions]
? [names|the name|name] [of|for] [a version|versions] [that can move|that moves|]
= An alias is a name that means a version, such as `v1`. The operator can move it; a version itself never changes.

? [does|can|will|may|do] [a version|versions|a version record|the record of a version] [ever|] [change|be changed|be edited|become another|be altered]
? [is|are] [a version|versions] [fixed|immutable|stable|pinned|constant|for ever the same]
? <can> [change|edit|alter] a version
? does [v1-sandbox-1|a version|a version's record|one version] [stay|remain] [the same|as it is|fixed|constant] [forever|for ever|always|]
? [can|may] [somebody|the operator|anybody] [change|edit|modify] a version
? [are|is] [versions|a version] [immutable|mutable|editable|changeable|stable]
= No, a version never changes. To change what is answered, the operator adds the next version and moves the alias.

? <how> [pin|fix|freeze|keep] [a version|the model|a model|my model|the version]
? <how> [be sure|make sure|see to it|guarantee] that [nothing moves|nothing changes|the version stays the same|I always get the same version|my answers come from the same version|the model stays the same]
? <can> pin a version
? [I want|I need] [always|] the same [version|model] [for all requests|every time|for my study|]
? [reproducible|pinned|stable] [versions|models|results]
? how can [my|an|our] [experiment|study|benchmark|research|result|evaluation|test] be [repeated|reproduced|done again] [next year|later|in a year|exactly]
? [nothing should change|the model must not change|I want no surprises|no silent changes|I need stability] [, how|, what do I send|]
? [always|exactly|only] [the same|one] version [, how|please|]
? [avoid|prevent] [changes|that the model changes|surprises|silent upgrades]
? [version pinning|pinning|pin|pinning a version]
= Send a version's own name instead of an alias: a version never changes.

? [which|what] [field|part|place] [of the answer|of the response|in the answer|] [says|tells|names|shows|has] [which version answered|the version|who answered|the version that answered|what answered]
? <how> [see|know|find out|tell] [which version|which model|who|what] answered [me|my request|]
? what [is|stands in|does] the field model [of an answer|in the answer|] [say|]
? [who|what|which model|which version] [has|] [really|actually|] answered [me|my question|]
? [find out|see|tell|know] [which|what] [version|model] [it was|answered|replied|has answered]
? [version|model] of [an|the|my] answer
= The field `model` of the answer is the version's own name.

? <what> [system_fingerprint|the fingerprint|the field system_fingerprint|fp_]
? what does [system_fingerprint|the fingerprint] [mean|say|stand for|tell]
? [why|when] does the [fingerprint|system_fingerprint] change
= `system_fingerprint` stands for everything in the version's record that changes an answer.

? <who> [can|may|moves|is allowed to] [move|change|redirect|set] [an alias|aliases|v1|the name v1]
? [can|may] [I|a caller|a user|an owner] move an alias
? [is|does] v1 [always|] [the same|stay the same|point to the same version]
? does [v1|an alias|the alias v1] [mean|stand for|point to] the same [model|version] [forever|for ever|always|tomorrow|next year]
? [could|can|may|will] [v1|an alias] [change|move|mean something else|point elsewhere] [one day|tomorrow|later|]
? [moving|changing] [aliases|an alias] [, who|, who may|is allowed to whom]
= The operator can move an alias, and every move is in the audit.

? what happens [when|if] I [call|use|ask|name|send] [a retired version|a version that is retired|an old version that has ended]
? [what|which error] [do I get|comes] from [a retired version|a retired model]
? <what> [a retired version|retired|a version that was retired]
? [can|do|does] [a retired version|retired versions] [still|] [answer|be used|work]
? [my|the|a] [version|model] [was|is|has been] retired [, what happens|, what now|, does it still answer|]
? [retired|switched off|ended] [version|model|versions] [, what comes|, which error|, what error|]
= A retired version is refused with 404 `model_not_found`; the message says since when, and what to use instead.

? <what> [a deprecated version|deprecated|a version that is deprecated|deprecation]
? [does|can|will] [a deprecated version|deprecated versions] [still answer|still work|be used|answer]
? what does [deprecated|it mean that a version is deprecated] [mean|]
+ and deprecated
? [my|the|a] [version|model] [is|was|has been] deprecated [, what now|, does it still work|, what does that mean|]
? [deprecated|deprecation] [meaning|version|explained|]
? [how long|until when] does a deprecated version [work|answer]
= A deprecated version still answers, but it has a day on which it retires. Headers say so.

? <how> [know|learn|see|notice|find out|hear] [that|when|whether|if] [a version|my version|a model|the version] [is deprecated|ends|will end|retires|is going to retire|will be switched off|goes away]
? [which|what] headers [come with|does|has] a deprecated version [have|]
? <where> see [when|the day on which] a version [ends|retires]
? [a model|a version|the answer|an answer] [I use|] [says|has|carries|comes with|sends] [Sunset|Deprecation|a Sunset header|a Deprecation header] [in its headers|, what is that|]
? [Sunset|Deprecation|shutdown_date] [header|meaning|]
? [warning|notice|announcement] [before|of|about] [a version ends|the end of a version|retirement|a shutdown]
? [will|do] I [be warned|be told|get a warning|get notice] [before|when|if] a [version|model] [ends|retires|goes away|is shut down]
? [there is|I see|my client shows|I found] a [Sunset|Deprecation] header [in the answer|in its headers|, what does it mean|, why|]
? [what is|what means|why is there] [a|the] [Sunset|Deprecation] header
= From the headers `Deprecation` and `Sunset`, and from `shutdown_date` in `GET /v1/models`.

? <how> [move|redirect|point|switch] [an alias|v1|the alias v1|the name v1] [to another version|to a new version|elsewhere|]
? <cmdto> [move|point|redirect] [an alias|v1|a name] [to another version|]
? <cmd> [moves|redirects] [an alias|v1]
? [upgrade|change] what v1 [means|is]
? [point|move|switch|redirect|set|change] v1 [at|to] [our new model|another version|the new version|llama-house-1|a new model]
? [I added|we have|there is] a new version, [how does v1 become it|how do I make it v1|how do callers get it]
? [make|let] v1 [mean|be|stand for|call] [another|a new|the new] [version|model]
= Run `keyhall aliases move v1 VERSION`.

? <how> [list|see|show|view|get] [versions|all versions|the versions|the catalogue] [on the command line|in the shell|]
? <cmdto> [list|see|show] [versions|all versions]
? <cmd> [lists|shows] [the|all|] versions
? [which|what] versions [are there|exist|do you have]
? [which|what] versions [exist|are there|do I have] [, command|, which command|on the command line]
? [overview|table|list] of [versions|all versions|the versions]
? versions [list|overview|command]
= Run `keyhall versions list`. `keyhall versions show v1` says everything about one.

? [what is|what's|how high is|how large is|which is] the [frequency penalty|frequency_penalty] of v1.1 [with an upstream|]
? [which|what] frequency penalty does v1.1 [have|use|send]
? frequency_penalty of v1.1
+ and the frequency penalty
= On an upstream v1.1 uses a frequency penalty of {F}.

? [what is|what's|how high is|how large is|which is] the [presence penalty|presence_penalty] of v1.1 [on an upstream|]
? [which|what] presence penalty does v1.1 [have|send]
? presence_penalty [of|in|for] v1.1
+ and the presence penalty
= On an upstream v1.1 uses a presence penalty of {P}.

? [which|what] penalties [does|has] v1.1 [have|use|]
? [with which|what] [settings|sampling] does v1.1 [avoid|reduce] repetition
= On an upstream v1.1 is the same model with a frequency penalty of {F} and a presence penalty of {P}.

? <how> [get|see|ask for|fetch] [the list of models|the models|all models|a list of models] [from the API|over HTTP|with the client|in a program|]
? [which|what] [endpoint|route|URL|path] lists [models|the models]
? [which|what] models [are there|can I use|may my key use|do you have|exist]
? [list|available|all] models
? [fetch|get|list|show|retrieve] [the|all|available|] models [over the API|by API|with Python|in Python|with curl|]
? [endpoint|route|URL|path|call] for [models|the model list|the list of models]
? [which|what] names [may|can] [my key|I] [use|send|call]
= Ask `GET /v1/models`, or `client.models.list()`: it lists the names your key may use.

? <what> [a fallback|fallbacks|a fallback version]
? [who|what] answers [when|if|while] an engine is [away|down|ill|gone|broken]
? <how> [set|have|configure] [a fallback|another version answer while an engine is away]
? [if|when] [the engine|an engine|the model|my engine] [is down|fails|dies|is away|breaks], [who|what] [answers|takes over|replies|helps]
? [fallback|failover|backup model|substitute|stand-in] [meaning|version|]
? [can|may|could] another [version|model|engine] [take over|step in|answer instead|jump in] [when one fails|]
= A fallback is a version that answers for another whose engine is away: `keyhall aliases fallback v1 VERSION`.

? <how> [know|see|notice] that [a fallback|another version] answered
? [which|what] header comes with a fallback
= The header `x-keyhall-fallback` names the version that should have answered; `model` is the one that did.

? <how> [set|change|give|define] [the price|a price] [of a version|of a model|to a version|for a version]
? <cmdto> [set|change] [a price|prices|the price of a version]
? <where> [set|change] prices
? [price|prices] [of|for] [a|my|our] [version|model] [, how do I set it|, command|, how to set|]
? [give|assign|set|change|put] [a|the] price [to|of|on|for] [v1|a model|a version|my model]
= Run `keyhall versions price VERSION --in PRICE --out PRICE`, in units of your currency per million tokens.

? <can> [get|have] [the same answer|the same words|the same text|identical answers] [twice|again|every time|with a seed]
? [what does|what is|how do I use] [seed|a seed|the parameter seed] [do|for|]
? [is|are] [answers|an answer] [reproducible|the same every time|deterministic]
? <how> [make|get] answers [reproducible|repeatable]
? [same|identical|equal] [answer|output|text|words] [for|with|from] [the same|one|an equal] [seed|question|prompt] [twice|]
? [deterministic|reproducible|repeatable] [answers|output|results] [possible|?|]
? [how|what] [does|do] [seed|seeds|the seed] [work|do|help]
= Yes: send the same `seed` and a version's own name, and the same choice of words is asked for, as far as the engine can.

? <how> add [a version|a new version|another version]
? <cmdto> [add|create|make] a version
= Run `keyhall versions add NAME --engine ENGINE --engine-model MODEL`, then move an alias to it.

? <how> [deprecate|retire|end] a version
? <cmdto> [deprecate|retire] a version
= Run `keyhall versions deprecate VERSION --retires DATE --use OTHER`, or `keyhall versions retire VERSION --use OTHER`.

? what [does|is] [a version|a version record] [fix|fixed|contain|hold]
? [what|which things] [is|are] fixed by a version
= A version fixes the engine and its model, the defaults of the sampling, the most tokens in and out, and the tokenizer.

? what [may|can] change [of|in] a version
= Its status, the day on which it retires, what to use instead, and its price.

? [which|what] temperature does v1 [have|use]
? default temperature
= v1 uses a temperature of 0.7 if the request says none, and no penalties.
"""


def entries() -> Iterable[Entry]:
    return read("versions", TEXT)
