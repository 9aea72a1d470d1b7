"""The detokenised form of a `wiki.*.tokens` file, and how many tokens the original has.

WikiText (Merity et al. 2016) is tokenised for word models: blanks around punctuation, `@-@` for a
hyphen inside a word, `<unk>` for rare words. A subword model should see ordinary text, so the
blanks are taken out again by the rules below. `<unk>` stays as it is: what stood there is not
known, so the model is charged for five characters it has no reason to expect. Perplexity is still
counted per token of the original, which makes it comparable across vocabularies.
"""

import re

_RULES = (
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r" ([,.;:!?%)\]}])"), r"\1"),
    (re.compile(r"([(\[{$£€#]) "), r"\1"),
    (re.compile(r" ('(?:s|re|ve|ll|d|m)\b)"), r"\1"),
    (re.compile(r"\b(\w+n) ('t)\b"), r"\1\2"),
    (re.compile(r'" ([^"\n]*?) "'), r'"\1"'),
    (re.compile(r"(?<= )' ([^'\n]*?) '(?=[ \n.,;:!?])"), r"'\1'"),
    (re.compile(r"(?<=\d) – (?=\d)"), "–"),
    (re.compile(r"^ +| +$", re.MULTILINE), ""),
)


def detokenised(text: str) -> str:
    """Ordinary text of a `wiki.*.tokens` text; headings keep their equals signs."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def num_original_tokens(text: str) -> int:
    """Tokens as the data set's authors count them: words, and one end of sentence for each line."""
    return len(text.split()) + text.count("\n")
