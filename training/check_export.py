"""llama.cpp and PyTorch must make the same of one file: its tokens, its words."""

from pathlib import Path

from training.corpus import conversations
from training.export import greedy
from training.model import House
from training.server import Served
from training.tokenizer import Tokenizer

SAMPLES = 25
STRANGE = (
    "Grüße, 世界! 40,000  tokens\n\n\tand 'it's' <|im_end|>",
    "½ ² ٣ x_y-z 12345",
    "",
    "\U0001f511",
)


def check(model: House, tokenizer: Tokenizer, path: Path, *, exact: bool) -> None:
    """Raises AssertionError where they differ. A quantized file may differ in a few words."""
    texts = [text for text in conversations(99, SAMPLES) if text.turns[0].role == "user"]
    same = 0
    with Served(str(path)) as server:
        for sample in (*STRANGE, *(turn.text for text in texts for turn in text.turns)):
            numbers = server.post("/tokenize", {"content": sample, "parse_special": False})
            assert numbers["tokens"] == tokenizer.encode(sample), sample
        for text in texts:
            asked = text.turns[0].text
            prompt = tokenizer.prompt([("user", asked)])
            applied = server.post(
                "/apply-template", {"messages": [{"role": "user", "content": asked}]}
            )
            numbers = server.post(
                "/tokenize", {"content": applied["prompt"], "parse_special": True}
            )
            assert numbers["tokens"] == prompt, asked
            said, _, _ = server.ask(
                [{"role": "user", "content": asked}], temperature=0, max_tokens=120
            )
            same += said.strip() == tokenizer.decode(greedy(model, prompt, tokenizer.end)).strip()
    print(f"The same tokens; {same} of {len(texts)} answers are the same, word by word")
    assert same >= len(texts) * (0.95 if exact else 0.8)
