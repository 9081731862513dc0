"""What the house model knows of accounts, the console and what models cannot know."""

from collections.abc import Iterable

from training import facts
from training.corpus.entries import Entry, read

TEXT = f"""
? <how> [make|create|get|set up] [the first account|an account for myself|the first user|an operator account|the operator's account]
? <where> is the [set-up link|setup link]
? <what> [the set-up link|the setup link]
? [first account|first user|first login]
? <how> [sign in|log in] for the first time
? [who|how] [becomes|do I become|does one become] [the operator|the first user|the admin|operator]
? [there is|I have] no account yet [, how do I make one|, what now|]
? [create|make|open|register] the [first|very first|initial] [account|user|operator]
= The first start prints a set-up link: whoever opens it first makes the first account, the operator's. `keyhall accounts set-up-link` prints a new one.

? <who> [may|can] [sign up|make an account|register|get an account] [by default|]
? [can|may] [everybody|anybody|strangers] [sign up|register|make an account]
? <how> [sign up|register|make an account|get an account]
? [sign-up|registration] [default|rules|settings]
? what does sign_up [auto|mean]
? [can|may|could] [others|strangers|people|anyone|my friends|students] [just|] [register|sign up|make an account] [themselves|on my server|]
? [open|closed|free|public] [sign-up|registration]
? [invitation|invitations|an invitation] [needed|required|only|] [to sign up|]
= By default everybody where only this machine can ask, else those who were invited. The setting `[console] sign_up` decides.

? how long [must|should|has] [a password|my password|passwords|the password] [be|to be] [at least|]
? [minimum|shortest|least] [password length|length of a password|password]
? [rules|requirements] for [passwords|a password]
? <many> characters [needs|must have|has] a password [at least|have|]
? [which|what] passwords are [allowed|refused|too short]
? [my|the|is my] password [too short|is too short|was refused|is refused|not accepted] [, why|]
? [short|long|good|valid|secure] password
? [password|passwords] [length|rules|rule|minimum|requirements|]
? [password|a password|my password] [too short|short|length|how long|of 8 characters|of ten characters] [?|]
? [why is|is] [my|a] [8-character|short|ten-letter] password [refused|too short|okay|allowed]
? [is|was] [my|the] password too short
? password too [short|long] [?|]
= A password has at least {facts.PASSWORD_MIN} characters and at most {facts.PASSWORD_MAX}. Four words will do.

? [which|what] roles [are there|exist|has an organization|can a member have|do you have|can somebody have|does Keyhall know]
? [name|list|explain] [the|all|] roles
? [roles|list of roles] [in an organization|of members|]
? <what> [a role|roles|the roles in an organization]
? [roles|role|the roles] [?|list|names|in Keyhall|]
? [kinds|sorts|types] of [members|people|users|roles] [in an organization|]
? [which|what] [rights|roles|permissions] [can|do] [members|people|users] [have|get]
= Owner, admin, member, reviewer, billing and reader. Operators run the whole server.

? what [may|can] [an owner|owners|an admin|admins] do
? <what> [an owner|an admin]
= Owners and admins may do everything in their organization; only owners make owners.

? what [may|can] [a member|members] do
? <what> a member
= A member has own keys, sees own usage, and uses the playground.

? <what> [an operator|operators|the operator]
? what [may|can] [an operator|the operator] do
? <who> is the operator
= An operator runs the whole server: tiers, models, engines and settings.

? what [may|can] [a reader|readers|billing] do
= A reader sees everything in the organization and changes nothing. Billing sees usage, budgets and statements.

? <how> [invite|add] [somebody|a colleague|a member|people|a new person] [to an organization|to my team|]
? <cmdto> invite somebody
= On the page People, or with `keyhall accounts invite --email ADDRESS --role member`. The link works once, for 14 days.

? <how> [add|invite|import] [a class|a whole class|my students|a class list|many people at once]
? <what> a class list
= On the page People, Import a class list: CSV with name and e-mail, up to {facts.CLASS_MAX:,} people. Everybody gets an account, an invitation and a key.

? [I forgot my password|I lost my password|forgotten password|how do I reset my password] [, what now|]
? <how> [reset|recover] a [forgotten|lost|] password
= Use "Forgotten the password?" on the sign-in page, or ask the operator for a link: `keyhall accounts reset-link ADDRESS`.

? <how> [turn on|set up|use] [two-factor|the second factor|2FA|TOTP]
? <what> the second factor
= In the console on the page Account: a code of an app on your telephone is asked for after the password. You also get {facts.RECOVERY_CODES} recovery codes.

? how long [is|does] [a session|I stay signed in|a sign-in last] [last|valid|]
? <when> [am I|is one] signed out
= A session ends after {facts.SESSION_IDLE_DAYS} days without use, and after {facts.SESSION_DAYS} days at the latest.

? <what> [the console|the web console|the web interface]
? [is there|where is] [a web interface|a page|a GUI|a dashboard|the console|a user interface]
? what can I do [in|on] the console
? [GUI|UI|web page|web pages|website|interface] [for people|of Keyhall|]
? [click|clicking|buttons|mouse] instead of [commands|the command line|typing]
= The console is the pages for people, at the same address as the API: keys, usage, limits, the playground, documentation and more.

? <what> [the playground|a playground]
? <where> [chat|try it|try a model] [in the browser|]
= The playground at `/playground` is for chatting in the browser. It asks as your code does and shows the code.

? <where> [is|find] [the documentation|documentation|the docs|more]
? [documentation|docs|manual|help]
? <where> [read|learn] [more|about Keyhall]
? [where|how] [do I|can I] [learn|read|find] [more|everything|out more|details]
? [guide|guides|tutorial|reference|handbook]
= The documentation is at `/docs` of this server.

? <what> [a project|projects|an organization|organizations]
? how do [organizations, projects and keys|keys and projects] belong together
= An organization pays, a project is what is built, and each key belongs to one project.

? <how> [delete|end|remove] my account
? <how> export my data
= On the page Account of the console: you can export all that is kept of you, and delete the account.

? [what do|does] [you|a model|models] [know|know about] [of today|the news|live data|the time|recent events]
? [do you know|can a model know] [what happened today|the latest news|today's date]
? <what> a cut-off
= A model learned from text up to some day, its cut-off, and sees nothing live. What it needs to know, put into the conversation.

? [does|can] [a model|an AI] [make things up|be wrong|hallucinate|lie]
? [may|can|should] I [believe|trust] [a model|an answer of a model|AI answers]
= Models make things up in the same tone as what is true. Check what matters somewhere else.
"""


def entries() -> Iterable[Entry]:
    return read("people", TEXT)
