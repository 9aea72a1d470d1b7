"""What the scanner of pages knows of names: HTML's elements, and words that sites name parts with.

An element is inline, void, skipped with all it holds, or a block; some carry a mark. A word of a
class, id, role or itemprop counts for the groups it stands in (`groups_of`), in several languages;
a model may add weights to words of its own.
"""

INLINE = 1
"""The element does not part blocks."""
VOID = 2
"""The element has no end tag."""
SKIP = 4
"""Nothing below the element is text of the page."""
RAW = 8
"""What follows up to the end tag is not markup."""
LINK = 16
STRONG = 32
VERBATIM = 64
"""Blanks below the element stay."""
IMAGE = 128
FIELD = 256

_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img input ins kbd map mark meter"
    " nobr output picture progress q rb rp rt rtc ruby s samp small source span strike strong sub"
    " sup time track tt u var wbr area embed param svg math"
)
_BEHAVIOUR = {
    **dict.fromkeys(_INLINE_NAMES.split(), INLINE),
    **dict.fromkeys(
        ("area", "base", "basefont", "bgsound", "col", "embed", "frame", "input", "link"),
        INLINE | VOID,
    ),
    **dict.fromkeys(("meta", "param", "source", "track", "wbr", "keygen"), INLINE | VOID),
    "hr": VOID,
    "br": VOID,
    **dict.fromkeys(
        ("script", "style", "xmp", "iframe", "noembed", "noframes", "plaintext"), SKIP | RAW
    ),
    **dict.fromkeys(
        ("template", "textarea", "select", "datalist", "canvas", "audio", "video"), SKIP
    ),
    "svg": INLINE | SKIP,
    "math": INLINE | SKIP,
    "script": INLINE | SKIP | RAW,
    "style": INLINE | SKIP | RAW,
    "template": INLINE | SKIP,
    "img": INLINE | VOID | IMAGE,
    "image": INLINE | IMAGE,
    "input": INLINE | VOID | FIELD,
    "textarea": SKIP | FIELD,
    "select": SKIP | FIELD,
    "a": INLINE | LINK,
    "b": INLINE | STRONG,
    "strong": INLINE | STRONG,
    "pre": VERBATIM,
    "listing": VERBATIM,
}

TAGS = (
    *("", "html", "body", "div", "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl"),
    *("dt", "dd", "table", "tbody", "thead", "tfoot", "tr", "td", "th", "caption", "pre"),
    *("blockquote", "figure", "figcaption", "article", "main", "section", "nav", "header"),
    *("footer", "aside", "form", "button", "label", "address", "noscript", "details", "summary"),
    *("dialog", "fieldset", "center", "a", "span", "title", "br", "time", "em", "i", "option"),
)
"""Elements with a number of their own: their place here; 0 is every other."""
TAG_IDS = {name: number for number, name in enumerate(TAGS)}

MARKS = (
    *("article", "main", "section", "nav", "header", "footer", "aside", "form", "button", "label"),
    *("address", "noscript", "table", "li", "blockquote", "figure", "heading", "p", "pre", "dl"),
    "hidden",
)
"""Facts about an element, one bit each."""
_MARK_OF = {
    **{name: name for name in MARKS if name not in {"heading", "hidden", "dl"}},
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    **dict.fromkeys(("dl", "dt", "dd"), "dl"),
    **dict.fromkeys(("figcaption", "caption"), "figure"),
    **dict.fromkeys(("fieldset",), "form"),
    "dialog": "hidden",
}
HIDDEN_MARK = 1 << MARKS.index("hidden")

GROUPS: dict[str, str] = {
    "content": "content contents inhalt inhalte contenu contenido conteudo tresc maincontent"
    " contentmain pagecontent innehall contenuto sitecontent",
    "article": "article artikel articulo articolo artigo artykul articlebody story storybody hentry"
    " post posting entry blogpost beitrag postcontent entrycontent postbody singlepost newsarticle"
    " blogentry postentry articlecontent articletext artikeltext posts",
    "text": "text body copy richtext bodytext fliesstext texte texto paragraph prose txt rte"
    " textblock absatz textbody editorial wysiwyg",
    "main": "main primary hauptinhalt center middle maincol maincolumn mitte centercol",
    "nav": "nav navi navigation navbar menu menue menus submenu topnav mainnav subnav navigations"
    " mainmenu nawigacja menuitem hauptmenu topmenu metanavigation metanav",
    "breadcrumb": "breadcrumb breadcrumbs crumb crumbs brotkrumen rootline pfad",
    "header": "header head masthead top branding kopf topbar siteheader pageheader kopfzeile",
    "footer": "footer foot bottom fuss fusszeile colophon copyright impressum legal stopka pie"
    " footnotes disclaimer",
    "sidebar": "sidebar side aside left right rail widget widgets secondary marginal seitenleiste"
    " marginalspalte sidebars leftcol rightcol barra rechts links textwidget",
    "comment": "comment comments kommentar kommentare commentlist disqus respond reply replies"
    " discussion commentaire commentaires comentario comentarios komentarze commentform"
    " commentbody trackback pingback guestbook",
    "share": "share social sharing shares facebook twitter whatsapp pinterest shariff addthis"
    " sharedaddy teilen sociable googleplus linkedin xing instagram follow like likes bookmark"
    " bookmarks socialmedia tweet",
    "related": "related similar more mehr recommend recommended recommendation recommendations"
    " popular verwandt yarpp relatedposts outbrain taboola also weitere aehnliche lesen powiazane"
    " readmore mostread trending crosslinks",
    "teaser": "teaser teasers promo promos card cards list listing archive archives latest recent"
    " grid tile tiles overview uebersicht aktuell newest recentcomments blogroll feed items",
    "ad": "ad ads advert advertisement advertising sponsor sponsored anzeige anzeigen werbung"
    " banner banners adsense adslot publicite publicidad reklama affiliate",
    "overlay": "cookie cookies consent gdpr dsgvo modal popup overlay dialog lightbox notice"
    " cookiebar privacy datenschutz alert toast notification noscript rgpd paywall",
    "form": "form forms search searchform suche login signin signup newsletter subscribe"
    " subscription register input kontakt contact recherche buscar abo anmelden formular submit"
    " warenkorb cart basket checkout",
    "meta": "meta date time datetime published postmetadata info infos metadata entrymeta postmeta"
    " timestamp datum fecha updated publish pubdate postinfo entryinfo postdate",
    "author": "author autor autorin auteur vcard bio avatar profile byline authorbox gravatar"
    " verfasser contributor",
    "tags": "tag tags category categories tagcloud keywords schlagworte topics kategorie"
    " kategorien cat taxonomy tagged rubrik etiquetas",
    "pager": "pagination pager paging prev previous next pagenav pagenavi paginierung pages"
    " navlinks seiten",
    "title": "title headline heading titel titre titulo subtitle kicker ueberschrift subheading"
    " headlines schlagzeile",
    "media": "caption image images img figure gallery galerie photo photos video videos media"
    " slider carousel slideshow bild bilder thumb thumbnail foto player picture swiper embed"
    " bildunterschrift credit",
    "lead": "intro lead summary excerpt abstract description teasertext standfirst vorspann"
    " einleitung lede chapo dek einstieg",
    "hidden": "hidden hide invisible only screenreader visuallyhidden noprint print skip hidde"
    " offscreen collapse collapsed",
    "tool": "button btn buttons icon icons toolbar tools tool logo toggle dropdown rating download"
    " counter language lang",
    "code": "code highlight blockquote quote zitat syntax pullquote",
}
"""{group: words}; each group is one bit, in this order."""


_SIDE = (
    *("nav", "breadcrumb", "footer", "sidebar", "comment", "share", "related", "teaser", "ad"),
    *("overlay", "form", "tags", "pager", "hidden", "tool", "media", "meta", "author"),
)
SIDE_GROUPS = sum(1 << number for number, name in enumerate(GROUPS) if name in _SIDE)
SIDE_MARKS = sum(
    1 << number
    for number, name in enumerate(MARKS)
    if name in {"nav", "footer", "aside", "form", "button", "label", "hidden", "table", "li"}
)
"""What says nothing of an element that holds the page's heading: wrappers have such names too."""


def groups_of() -> dict[str, int]:
    """{word: bits of the groups it stands in}."""
    bits: dict[str, int] = {}
    for number, words in enumerate(GROUPS.values()):
        for word in words.split():
            bits[word] = bits.get(word, 0) | 1 << number
    return bits


def element_names() -> dict[str, tuple[int, int, int]]:
    """{element: (behaviour, tag number, mark bits)} of those that differ from a plain block."""
    names = {*_BEHAVIOUR, *TAG_IDS, *_MARK_OF} - {""}
    return {
        name: (
            _BEHAVIOUR.get(name, 0),
            TAG_IDS.get(name, 0),
            1 << MARKS.index(_MARK_OF[name]) if name in _MARK_OF else 0,
        )
        for name in sorted(names)
    }
