"""Small SentencePiece models trained as the data job trains them."""

import io
from functools import cache

import sentencepiece as spm

from contracts.tokenizer import Tokenizer

TEXTS = (
    "The aqueduct ran over a river, the town drank of it.\n\n    def flow(x):\n        return x\n",
    "Rivers fall, aqueducts run level; 1234567890 litres in 24 hours.  Two blanks, then   three.\n",
    "Über die Brücke geht der Weg — naïve café, 東京の水道, Привет мир.\n",
    "A rose is a rose is a rose; abababab aaaa ababa banana bandana.\n",
)


@cache
def small_tokenizer(
    *, model_type: str = "bpe", prefix: bool = False, normaliser: str = "identity"
) -> Tokenizer:
    """About 400 pieces with byte fallback."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 4),
        model_writer=model,
        model_type=model_type,
        vocab_size=400,
        hard_vocab_limit=False,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name=normaliser,
        split_digits=True,
        add_dummy_prefix=prefix,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        num_threads=1,
        minloglevel=2,
    )
    return Tokenizer(model.getvalue())
