"""Questions about metering and about setting Keyhall up."""

from training import facts
from training.exam.grader import Question, number


def _of(topic: str, asked: str, *must: str, no: tuple[str, ...] = ()) -> Question:
    return Question(topic, (asked,), must, no)


METERING = (
    _of("metering", "What is recorded about a request?", "tokens|key|version|cost|when"),
    _of("metering", "Do you store my messages?", r"\b(no|not|nothing|never)\b", no=(r"^yes",)),
    _of("metering", "Are conversations used for training?", r"\b(no|not|nothing|never)\b",
        no=(r"^yes",)),
    _of("metering", "Where do I see what a key has used?", "keyhall usage|/usage|console"),
    _of("metering", "What is lost of the usage after kill -9?", r"nothing|no usage|not"),
    _of("metering", "What is the journal?", "open requests|file|requests"),
    _of("metering", "What is the ledger?", "record|usage"),
    _of("metering", "What is the spool for?", "database"),
    _of("metering", "Which costs are there when the client leaves in the middle?",
        "produced|input|until"),
    _of("metering", "In what unit are prices given?", "million"),
    _of("metering", "Who decides what a token costs here?", "operator"),
    _of("metering", "How do I cap the money that a key may spend in a month?",
        "quota|budget"),
    _of("metering", "Which periods can a quota have?", "day", "month"),
    _of("metering", "At which percentages of a quota is somebody told?",
        *(number(each) + r"|\b" + str(each) + "%" for each in facts.ALERTS_AT)),
    _of("metering", "What happens past a hard quota?", "refus|429|insufficient_quota|never"),
    _of("metering", "What is overage?", "beyond|past|more than|price"),
    _of("metering", "How do I get a statement for a month?", "keyhall statements"),
    _of("metering", "Which command sets a quota?", "keyhall quotas set"),
    _of("metering", "How many usage records does an admitted request leave?",
        r"\b(one|1|exactly)\b"),
    _of("metering", "Does a refused request leave a usage record?", r"\b(no|none|not)\b",
        no=(r"^yes",)),
    _of("metering", "How does prepaid credit work?", "credit|prepaid|paid"),
)  # fmt: skip

SET_UP = (
    _of("set-up", "How do I start Keyhall from a checkout?", "make serve"),
    _of("set-up", "Which command starts the server once it's installed?", "keyhall serve"),
    _of("set-up", "What port does Keyhall listen on?", number(facts.PORT)),
    _of("set-up", "Which Python do I need?", r"3\.11"),
    _of("set-up", "How do I start it on port 9000?", "--port"),
    _of("set-up", "What base URL do I give to the OpenAI client?", "/v1"),
    _of("set-up", "Which two environment variables does the official client read?",
        "openai_base_url", "openai_api_key"),
    _of("set-up", "Where is my data kept?", "data folder|folder|keyhall.db"),
    _of("set-up", "What database does it use out of the box?", "sqlite"),
    _of("set-up", "What do I have to back up?", "pepper", "database|keyhall.db|data"),
    _of("set-up", "How do I make a backup while the server runs?", "keyhall backup"),
    _of("set-up", "How do I check whether something is wrong with my installation?",
        "keyhall doctor"),
    _of("set-up", "How do I connect a vLLM server?", "keyhall engines add|engines add"),
    _of("set-up", "Can I use Ollama behind Keyhall?", "yes|can|upstream|engines add"),
    _of("set-up", "How do I turn on https?", "--tls-cert|tls"),
    _of("set-up", "How do I create the first account?", "set-up link|link"),
    _of("set-up", "Who may sign up by default when others can reach the server?", "invit"),
    _of("set-up", "How long must a password be?", rf"{number(facts.PASSWORD_MIN)}|twelve"),
    _of("set-up", "What roles are there in an organization?", "owner", "admin", "member"),
    _of("set-up", "What is needed to run several workers?", "postgres", "redis|valkey"),
    _of("set-up", "What is the sandbox?", "without a model|not an ai|no ai|no model|test"),
    _of("set-up", "Can I use the official OpenAI library with this?", "yes|openai|can",
        no=(r"^no\b",)),
    _of("set-up", "Where do I see metrics for Prometheus?", "/metrics"),
    _of("set-up", "Which address tells whether the server is ready?", "/readyz"),
)  # fmt: skip

QUESTIONS = (*METERING, *SET_UP)
