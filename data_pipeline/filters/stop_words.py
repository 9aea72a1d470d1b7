"""The most frequent function words of each language, for the stop-word rule of `gopher_quality`.

English is the paper's own list (Rae et al. 2021, section A1.1); the others hold words of the same
part in their language: articles, conjunctions, prepositions, pronouns, forms of be and have. Lower
case. Not listed, so not judged by this rule: languages whose words stand without blanks (Chinese,
Japanese, Thai), and those that put such words into others (Korean).
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from data_pipeline.filters.word_lists import WordLists

_LISTS = {
    "af": "die en van in het is dat om te nie met vir wat sy op hy ek ook as was",
    "ar": "في من على إلى أن عن التي الذي هذا هذه مع كان لا ما أو بعد كل قد هو هي بين ذلك",
    "bg": "и на в да се за от с не е по са че като до но или към при след това които",
    "ca": "de la i el que en a per un els les una amb del és no al es dels com més però són",
    "cs": (
        "a v se na je že to s z do o i ve pro za by ale jako po tak od které který jsou bylo však"
    ),
    "da": (
        "og i at det er en den til af som på de med han for der et ikke har var jeg fra men vi om"
    ),
    "de": (
        "der die das und in zu den von mit ist des dem sich nicht ein eine auf für es im "
        "auch als an wir ich sie"
    ),
    "el": "και το να του η της με που την από για είναι στο οι τα σε δεν θα ο στην των αλλά",
    "en": "the be to of and that have with",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más pero sus",
    "et": "ja on ei et ka see oli kui ning oma aga või ta mis selle mida siis ole kes nii",
    "fa": "و در به از که این را با است برای آن یک تا بر هم نیز می خود شده بود یا اما",
    "fi": (
        "ja on ei se että oli hän mutta ovat kun niin joka tai myös ole kuin sen jos mukaan "
        "sekä voi"
    ),
    "fr": (
        "de la le et les des en un une du que est dans qui pour au par sur pas plus ne se ce "
        "avec il"
    ),
    "gl": "de a o que e do da en un para unha con non os as no na por se máis como ao súa pero",
    "he": "של את על לא עם הוא זה גם כי או היא כל אני אם יש אבל רק יותר היה בין",
    "hi": "के में की है और से का को पर यह भी नहीं एक कि हैं ने लिए इस था तो या जो",
    "hr": "i je u na se da za su od s a ne to kao o koji ili nije što bi iz ali te će",
    "hu": "a az és hogy nem is egy van ez volt meg de már csak mint ki azt még ha vagy el lehet",
    "id": (
        "yang dan di dengan untuk dari pada ini itu dalam tidak adalah akan ke oleh juga "
        "atau ada saya"
    ),
    "it": (
        "di e il la che in un a per una è con non si del da le dei sono al come i della più lo gli"
    ),
    "lt": "ir į kad iš su yra tai bet kaip už ar jau apie buvo nuo jo tik po dėl arba per",
    "lv": "un ir ar no uz ka par tas kā bet arī lai pie vai nav pēc tiek gan kas bija",
    "ms": (
        "yang dan di dengan untuk ini itu dari pada dalam tidak akan oleh juga ke adalah atau ada"
    ),
    "nl": (
        "de het een en van in is dat op te zijn met voor niet die er aan ook als om bij maar "
        "door je ik"
    ),
    "no": "og i det er på som en å til for med at av de ikke den har jeg om et men var seg fra vi",
    "pl": (
        "w i na się z do nie to że jest o jak a po od za przez dla co tym ale są by jego oraz już"
    ),
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como é ao das mas",
    "ro": (
        "de și în a la cu că o un pe nu din este care se pentru mai sau sunt ce prin dar al au fi"
    ),
    "ru": "и в не на что с он я как это по но к из у за от так же для бы то все его она было",
    "sk": "a v sa na je že to s z do o aj pre za po ako ale by tak od ktoré ktorý sú bolo však",
    "sl": "in je v na da se za so z s pa ki ne po tudi kot bi od iz ali o pri ker",
    "sr": (
        "и је у на се да за су од с а не то као о који или није што би из али i u na je da "
        "se za su od kao koji ili nije što iz ali"
    ),
    "sv": (
        "och i att det som en på är av för med den till inte har de ett om men var jag sig "
        "från vi så"
    ),
    "tr": (
        "ve bir bu da de için ile çok daha olarak gibi ne o olan ama ben kadar en var sonra "
        "her değil"
    ),
    "uk": "і в не на що з у до та як це за я по від він для про його але є ви ми так або",
}
STOP_WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {language: frozenset(words.split()) for language, words in _LISTS.items()}
)
"""ISO 639 code to words."""


@cache
def stop_word_lists(language: str | None) -> WordLists:
    """The list of a language, no list where it has none, all lists for None."""
    if language is None:
        return WordLists(list(STOP_WORDS.values()))
    return WordLists([STOP_WORDS[language]] if language in STOP_WORDS else [])
