"""Questions about keys."""

from training import facts
from training.exam.grader import Question, number


def _key(asked: str | tuple[str, ...], *must: str, no: tuple[str, ...] = ()) -> Question:
    return Question("keys", (asked,) if isinstance(asked, str) else asked, must, no)


QUESTIONS = (
    _key("How do I create an API key?", "keyhall keys create|/keys|console"),
    _key("which command makes a new key", "keyhall keys create"),
    _key("What do keys look like?", "sk-kh_"),
    _key("What does a Keyhall key begin with?", "sk-kh_"),
    _key("How can I tell a test key from a live one?", "sk-kh_test|_test_|test"),
    _key("Can you show me my key again? I lost it.", r"\b(no|not|nobody|never|cannot|can't)\b",
         no=(r"^yes",)),
    _key("I forgot to copy my key when it was shown. What now?", "another|new|create|again"),
    _key("How often is a key shown?", r"once|one time|only"),
    _key("How do I revoke a key?", "keyhall keys revoke|console|/keys"),
    _key("My key was leaked on GitHub! What should I do first?", "revok"),
    _key("Can a revoked key be brought back?", r"\b(no|not|never|cannot|can't|for good)\b",
         no=(r"^yes",)),
    _key("How quickly do running streams end when their key is revoked?", "2 ?s|two seconds"),
    _key("How do I switch a key off for a while?", "pause"),
    _key("which command resumes a paused key?", "keyhall keys resume"),
    _key("What happens to streams that are running when I pause their key?", "finish|go on|end in"),
    _key("How do I replace a key without downtime?", "rotat"),
    _key("After rotating, how long does the old key keep working by default?",
         rf"{number(facts.OVERLAP_HOURS)}|a day|one day"),
    _key("What is the longest overlap that a rotation may have?",
         rf"{number(facts.OVERLAP_DAYS_MAX)}|seven|week"),
    _key("How can I make a key that ends by itself after 30 days?", "--expires"),
    _key("Can a key be limited to certain models?", "yes|--models|can"),
    _key("How do I allow a key only from one network?", "--ip"),
    _key("Where should I keep my API key?", "environment|keyring|secret"),
    _key("Is it okay to put my key into source code?", r"\b(no|never|not|don't)\b",
         no=(r"^yes",)),
    _key("May I share my key with a colleague?", r"\b(no|never|not|own|don't)\b", no=(r"^yes",)),
    _key("Should all of my apps use one key?", r"\b(no|one key per|each|per application|own)\b",
         no=(r"^yes",)),
    _key("What is a test key answered by?", "sandbox"),
    _key("Do test keys cost anything?", r"\b(no|nothing|not|free)\b", no=(r"^yes",)),
    _key("What are admin keys for?", "metrics|administer"),
    _key("For how long does an admin key live if I say nothing?",
         rf"{number(facts.ADMIN_DAYS)}|ninety"),
    _key("How are keys stored in the database?", "hmac|digest|hash"),
    _key("What is the pepper?", "secret"),
    _key("How do I list my keys?", "keyhall keys list|/keys|console"),
    _key("How many characters does the id of a key have?", rf"{number(facts.ID_LENGTH)}|twelve"),
    _key("What are the last six characters of a key?", "checksum"),
    _key("Who does a key belong to?", "project|organi[sz]ation"),
    _key(("How do I pause a key?", "Run `keyhall keys pause KEY`.", "and to end it for good?"),
         "revoke"),
)  # fmt: skip
