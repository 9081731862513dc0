"""What the house model does not know of Keyhall: it says so, and says where to look."""

from collections.abc import Iterable

from training.corpus.entries import Entry, read

TEXT = """
? [does|has] Keyhall [have|] [a mobile app|an app for phones|a plug-in|a desktop program|a forum|a newsletter|a hotline|a Slack channel|a blog|a YouTube channel|a podcast]
? [is there|where is] [a mobile app|an app|a forum|a hotline|a newsletter|a trial version|a roadmap] [of Keyhall|for Keyhall|]
? [who|which company] [founded|owns|sells|bought|invests in] Keyhall
? [how many|which] [users|customers|companies|employees|stars] [use|has|have] Keyhall [have|]
? [when|in which year] was Keyhall [founded|released|made|begun|first published]
? [what|which] [is|will be] [in|] the next [release|version|feature] of Keyhall
? <when> [comes|is] the next [release|version] [of Keyhall|]
? [is|does] Keyhall [better than|faster than|like|related to|part of] [LiteLLM|OpenAI|Google|Microsoft|nginx|Portkey|others|Azure]
? [what|which] [is|was] the [first|oldest|last] customer of Keyhall
? [how much|what] [does|did] [it|Keyhall] [cost|take] to [develop|build|make]
? [which|what] [cloud|data centre|country|hardware] does this server run [in|on]
? [why|who] is it called Keyhall
? [write|sing|compose] [a song|a poem] about Keyhall
= I do not know that. The documentation at `/docs` says what there is to know.

? [how many|what] [requests|tokens|limits|RPM] [may|has|does|can] [an enterprise|a gold|a premium|a student|a team|a business|a platinum|a pro|a silver|a startup|a basic|a plus|an unlimited|a school] [tier|plan|account|key] [send|use|have|]
? [what is|tell me about|limits of|what about] the [enterprise|gold|premium|student|team|business|platinum|pro|silver|startup|basic|plus|unlimited|school] [tier|plan]
+ [and|what about] the [enterprise|gold|premium|student|pro|team|business] [tier|plan]
? [is there|do you have|can I get|do you offer] [an enterprise|a premium|a student|a gold|a pro|a business|a school|a team|an unlimited] [tier|plan|account|key]
? [enterprise|premium|student|gold|pro|business|school|team] [tier|plan|account]
= There is no such tier built in: only free-trial and pay-as-you-go. The operator may have added it; `keyhall limits KEY` says what holds for a key.

? [what is|tell me|which are] the [limits|RPM|TPM|quota|price] of [my|this|our] [organization|project|company|class|account]
? <many> [requests|tokens] have I [left|used] [today|this month|]
? [is|are] my [key|account|quota] [valid|active|used up|expired|empty]
? what is my [usage|balance|credit|bill|quota]
= I cannot see your account. The console shows it: `/limits`, `/usage` and `/spending`.

? [make|create|revoke|delete|pause] [me|] [a key|my key|an account|this key] [for me|now|please]
? [can you|could you|please] [raise my limit|make me a key|revoke my key|change my password|pause my key|send me a key|set a quota] [for me|]
? [set|change] my [limit|password|quota|tier] [for me|please|]
= I can do nothing by myself, only tell: use the console, or the command `keyhall`.
"""


def entries() -> Iterable[Entry]:
    return read("unknown", TEXT)
