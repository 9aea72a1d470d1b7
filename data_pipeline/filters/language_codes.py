"""What the labels of language models mean: ISO 639 codes, with a script where the label has one.

lid.176 has labels such as `__label__de`, taken as they are. GlotLID, OpenLID and NLLB have
`__label__deu_Latn`: ISO 639-3 and ISO 15924. These become the two-letter codes of ISO 639-1, which
stop words and configs use; members of a macrolanguage that stand for its common form (Mandarin,
Standard Arabic) take its code.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

_LABEL = "__label__"
_WITH_SCRIPT = re.compile(r"([a-z]{3})_([A-Z][a-z]{3})")
_PAIRS = (
    "aar=aa abk=ab afr=af aka=ak twi=ak amh=am ara=ar arb=ar arg=an asm=as ava=av aym=ay ayr=ay "
    "aze=az azj=az azb=az bak=ba bam=bm bel=be ben=bn bis=bi bod=bo bos=bs bre=br bul=bg cat=ca "
    "ces=cs cha=ch che=ce chu=cu chv=cv cor=kw cos=co cre=cr cym=cy dan=da deu=de div=dv dzo=dz "
    "ell=el eng=en epo=eo est=et ekk=et eus=eu ewe=ee fao=fo fas=fa pes=fa fij=fj fin=fi fra=fr "
    "fry=fy ful=ff fuv=ff gla=gd gle=ga glg=gl glv=gv grn=gn gug=gn guj=gu hat=ht hau=ha hbs=sh "
    "heb=he her=hz hin=hi hmo=ho hrv=hr hun=hu hye=hy ibo=ig ido=io iii=ii iku=iu ike=iu ile=ie "
    "ina=ia ind=id ipk=ik isl=is ita=it jav=jv jpn=ja kal=kl kan=kn kas=ks kat=ka kau=kr knc=kr "
    "kaz=kk khm=km kik=ki kin=rw kir=ky kom=kv kpv=kv kon=kg kor=ko kua=kj kur=ku kmr=ku lao=lo "
    "lat=la lav=lv lvs=lv lim=li lin=ln lit=lt ltz=lb lub=lu lug=lg mah=mh mal=ml mar=mr mkd=mk "
    "mlg=mg plt=mg mlt=mt mon=mn khk=mn mri=mi msa=ms zsm=ms mya=my nau=na nav=nv nbl=nr nde=nd "
    "ndo=ng nep=ne npi=ne nld=nl nno=nn nob=no nor=no nya=ny oci=oc oji=oj ori=or ory=or orm=om "
    "gaz=om oss=os pan=pa pli=pi pol=pl por=pt pus=ps pbt=ps que=qu quy=qu roh=rm ron=ro run=rn "
    "rus=ru sag=sg san=sa sin=si slk=sk slv=sl sme=se smo=sm sna=sn snd=sd som=so sot=st spa=es "
    "sqi=sq als=sq srd=sc srp=sr ssw=ss sun=su swa=sw swh=sw swe=sv tah=ty tam=ta tat=tt tel=te "
    "tgk=tg tgl=tl tha=th tir=ti ton=to tsn=tn tso=ts tuk=tk tur=tr uig=ug ukr=uk urd=ur uzb=uz "
    "uzn=uz ven=ve vie=vi vol=vo wln=wa wol=wo xho=xh yid=yi ydd=yi yor=yo zha=za zho=zh cmn=zh "
    "zul=zu "
)
ISO_639_1: Mapping[str, str] = MappingProxyType({pair[:3]: pair[4:] for pair in _PAIRS.split()})
"""ISO 639-3 to 639-1."""


def language_and_script(label: str) -> tuple[str, str]:
    """Language and script of a model's label; the script is empty where the label has none."""
    name = label.removeprefix(_LABEL)
    with_script = _WITH_SCRIPT.fullmatch(name)
    if with_script is None:
        return name, ""
    code, script = with_script.groups()
    return ISO_639_1.get(code, code), script
