"""Terms of commercial adult spam by language: what such pages say of themselves, no insults.

A small list of our own, for a first guard: words that have another common meaning are left out. For
more give files to `word_list`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_ANY = (
    "porn porno pornos pornhub xvideos xnxx xxx milf milfs hentai camgirl camgirls webcamsex "
    "sexcam sexcams livesex cumshot blowjob creampie gangbang deepthroat bukkake bdsm"
)
_TERMS = {
    "de": ("pornofilme|sexfilme|sexvideos|sexkontakte|sextreffen|fickfilme|hobbyhuren|"
           "erotikchat|telefonsex|nacktbilder|ficken|geile frauen"),
    "en": ("sex videos|sex video|sex cam|sex chat|nude pics|naked girls|adult videos|free porn|"
           "hardcore sex|escort girls|phone sex|pussy|horny"),
    "es": "videos porno|sexo gratis|videos xxx|chicas desnudas|putas|maduras follando|follar",
    "fr": "films porno|vidéos porno|sexe gratuit|plan cul|femmes nues|baise|salope|salopes",
    "it": "video porno|film porno|sesso gratis|donne nude|scopata|troie|video hard",
    "nl": "gratis porno|sexfilms|neuken|geile vrouwen|sekscontacten|naakte meisjes",
    "pl": "filmy porno|darmowe porno|sex kamerki|ruchanie|nagie dziewczyny",
    "pt": "vídeos pornô|pornô|sexo grátis|mulheres nuas|putaria|vídeos de sexo",
    "ru": "порно|порнуха|порно видео|секс видео|секс знакомства|голые девушки|проститутки|минет",
    "ja": "無修正|アダルト動画|エロ動画|中出し|巨乳|人妻動画",
    "zh": "色情|成人视频|成人影片|情色|黄色网站|免费av|裸聊|成人電影",
}  # fmt: skip
ADULT_TERMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {language: (*_ANY.split(), *terms.split("|")) for language, terms in _TERMS.items()}
)
"""ISO 639 code to words and phrases; each list holds the words that all languages borrow."""
