"""Finders of personal data, one for each kind: where something is, in a text of ASCII digits, letters and signs.

Numbers that carry a check digit or a date are told from others by it; numbers that carry none (passports, plates of
most countries, a bare social security number) need a word before them that says what they are.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address

import phonenumbers
import pyap
from linkify_it import LinkifyIt
from phonenumbers import Leniency, PhoneNumberMatch, PhoneNumberMatcher, PhoneNumberType
from stdnum import iban, luhn
from stdnum.cn import ric

Span = tuple[int, int]
Finder = Callable[[str], Iterator[Span]]

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_DOMAINS = "com|org|net|cn|edu|gov|io|uk|de|fr|me|info|co"
_MAYBE_LINK = re.compile(r"@|://|www\.|\.(?:com|org|net|cn|edu|gov|io|uk)\b", re.IGNORECASE)
_SURE_LINK = re.compile(r"www\.|\S+\.(?:com|org|net|cn|edu|gov|io|uk)(?:[/?#:]|$)", re.IGNORECASE)
_NO_LINK = re.compile(r"(?:asp|vb|ado|ml|entity|paint)\.net|socket\.io", re.IGNORECASE)
"""Names of software that end as addresses do."""
_BARE_LINK = re.compile(
    r"(?<![\w@./-])(?:(?:hxxps?|h\*\*ps?)(?::|\[:\])//[^\s\x80-\U0010ffff]+|(?:t\.me|telegram\.me|wa\.me|m\.me|fb\.me|"
    r"discord\.gg|youtu\.be|bit\.ly|goo\.gl|is\.gd|linktr\.ee|b23\.tv|xhslink\.com|ig\.me|lin\.ee)/[\w.+@~-]*[\w])",
    re.IGNORECASE | re.ASCII,
)
"""Addresses that are defanged, and those of networks, whose endings are not those of most."""
_COUNTED = re.compile(
    r"(?:#|\b(?:order|ticket|invoice|tracking|serial|case|ref\w*)\b|订单|单号|学号|工号|考证号|编号)[^\d\n]{0,12}$",
    re.IGNORECASE,
)
"""Before a number that counts something: it is no telephone and no card, however its digits fall."""


def _follows(text: str, start: int, cue: re.Pattern[str], within: int = 32) -> bool:
    return cue.search(text, max(0, start - within), start) is not None


@cache
def _linkify() -> LinkifyIt:
    return LinkifyIt()


def _links(text: str) -> Iterator[tuple[bool, Span]]:
    """Whether it is mail, and where; Chinese sets no space around links, so every character of it ends one."""
    plain = _NOT_ASCII.sub("\n", text)
    if _MAYBE_LINK.search(plain):
        for link in _linkify().match(plain) or []:
            if not link.schema and _NO_LINK.fullmatch(link.raw):
                continue
            if link.schema == "mailto:" or link.schema or _SURE_LINK.match(link.raw):
                start = link.last_index - len(link.raw.lstrip(":"))
                yield link.schema == "mailto:", (start, link.last_index)


def find_urls(text: str) -> Iterator[Span]:
    """Addresses of pages."""
    yield from (span for is_mail, span in _links(text) if not is_mail)
    yield from (found.span() for found in _BARE_LINK.finditer(text))


_HOST = (
    r"[a-z0-9-]{1,40}(?:(?:\s*[\[({<]\s*dot\s*[\])}>]\s*|\s+dot\s+|\s*点\s*|\.)[a-z0-9-]{1,40}){0,3}?"
    r"(?:\s*[\[({<]\s*dot\s*[\])}>]\s*|\s+dot\s+|\s*点\s*|\.)(?:" + _DOMAINS + r")(?![a-z0-9])(?!\s*[\[({<]\s*dot\b)"
)
_NAME = r"(?<![a-z0-9._+-])(?P<name>[a-z0-9][a-z0-9._+-]{0,40})"
_BRACKETED = re.compile(
    _NAME[:-1] + r"(?:\s*[\[({<]\s*(?:dot|underscore)\s*[\])}>]\s*[a-z0-9._+-]{1,40}){0,2})"
    r"\s*(?:[\[({<]\s*(?:at|@)\s*[\])}>]|艾特|圈a|@)\s*" + _HOST,
    re.IGNORECASE,
)
_QUOTED = re.compile(r"(?<![\w.+'-])[a-z0-9][a-z0-9._+-]*'[a-z0-9._+'-]*@[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)
"""Names with an apostrophe, which looks like the end of a quotation."""
_REPLACED = re.compile(
    rf"(?:e-?mail|邮箱)[^a-z0-9\n]{{0,8}}(?:is\s+|address\s+)?(?P<it>[a-z0-9][a-z0-9._+-]{{0,40}}[#*$&]{_HOST})",
    re.IGNORECASE,
)
"""Another sign for @, beside a word that says what it is."""
_SPOKEN = re.compile(
    _NAME[:-1] + r"(?:\s+(?:dot|underscore)\s+[a-z0-9]+){0,2})\s+(?P<at>at)\s+(?P<host>" + _HOST + ")", re.IGNORECASE
)
_MAIL_CUE = re.compile(r"e-?mail|\bmail|邮箱|邮件|联系|reach|contact|write|address", re.IGNORECASE)
_PROVIDER = re.compile(
    r"(?:gmail|hotmail|yahoo|outlook|icloud|proton|qq|163|126|sina|foxmail|aol|gmx)\b", re.IGNORECASE
)
_SPECIAL = re.compile(r"[\d_.]")
_NO_NAME = re.compile(
    r"(?:look(?:ed|ing)?|me|us|it|him|her|you|them|i|was|is|am|were|be|work(?:s|ed|ing)?|shop(?:ped|ping)?|stuff|things?|"
    r"one|buy|order(?:ed)?|that|this|here|there|job|up|out|back|and|or|address|mail|email|contact|still|not)",
    re.IGNORECASE,
)


def find_mail(text: str) -> Iterator[Span]:
    """E-mail addresses, also written out: ``jo (at) example dot org``."""
    yield from (span for is_mail, span in _links(text) if is_mail)
    yield from (found.span() for found in _BRACKETED.finditer(text))
    yield from (found.span() for found in _QUOTED.finditer(text))
    yield from (found.span("it") for found in _REPLACED.finditer(text))
    for found in _SPOKEN.finditer(text):
        told = _MAIL_CUE.search(text, max(0, found.start() - 40), found.end() + 24) or _PROVIDER.match(found["host"])
        if not _NO_NAME.fullmatch(found["name"]) and (told or found["at"] == "AT" or _SPECIAL.search(found["name"])):
            yield found.span()


_PHONE_CUE = re.compile(
    r"\b(?:phone|call(?:s|ing)?|cell|mobile|number|text|ring|dial|reach|tel|telefon\w*|\w*nummer|handy)\b|电话|手机|号码|座机|رقم",
    re.IGNORECASE,
)
_LOCAL = re.compile(
    r"\b(?:phone|call|cell|number|text|ring|dial|reach)\b[^\d\n]{0,20}(?P<it>\d{3}-\d{4})(?![\d-])", re.I
)
_NORTH_AMERICAN = re.compile(r"(?<![\w-])(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])\d{3}[-.]\d{4}(?![\w-])")
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\d{1,2}\.\d+")
"""Internet addresses, versions, decimals."""
_TRUNK = re.compile(r"(?<!\d)0[1-9]\d")
_TEN = re.compile(r"(?:1\D{0,2})?\(?\d{3}\D{0,2}\d{3}\D{0,2}\d{4}")
_CHARITY = re.compile(r"03\d\d")
"""What British numbers for all of a country begin with."""
_MOBILE_CN = re.compile(r"1[3-9]\d{9}")
_SPELT = re.compile("[零〇一二三四五六七八九幺]{11}")
_SPELT_DIGITS = str.maketrans("零〇一二三四五六七八九幺", "001234567891")
_DIGITS = re.compile(r"(?:\d[^\d\n]{0,3}){6}\d")
_EXTENSION = re.compile(r"\s*(?:转|分机号?)\s*\d{1,6}")
_PUBLIC = {
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PREMIUM_RATE,
}
"""Numbers that are no person's: helplines, mostly."""


def _is_plausible(text: str, region: str, number: PhoneNumberMatch) -> bool:
    """Whether digits that could be a number of a region are one, by how and where they are written."""
    if number.raw_string[0] == "+":
        return True
    told = _PHONE_CUE.search(text, max(0, number.start - 32), number.end + 24) is not None
    bare = number.raw_string.isdigit()
    if (bare and _follows(text, number.start, _COUNTED)) or _DOTTED.fullmatch(number.raw_string):
        return False
    match region:
        case "US":
            return _TEN.match(number.raw_string) is not None and (told or not bare)
        case "CN":
            return number.raw_string.lstrip("(")[0] in "018" or told
        case "GB":
            return number.raw_string[0] in "0(" and (told or not bare)
        case _:
            return number.raw_string[0] in "0(" and told


def find_phones(text: str) -> Iterator[Span]:
    """Telephone numbers with a country's code, or in the national form of the US, China, Britain or Germany."""
    for spelt in _SPELT.finditer(text):
        if _MOBILE_CN.fullmatch(spelt[0].translate(_SPELT_DIGITS)):
            yield spelt.span()
    plain = _NOT_ASCII.sub("\n", text)
    if not _DIGITS.search(plain):
        return
    found: list[Span] = [local.span("it") for local in _LOCAL.finditer(plain)]
    found += [number.span() for number in _NORTH_AMERICAN.finditer(plain)]
    public: list[Span] = []
    for region in ("US", "CN", "GB", "DE"):
        if region in ("GB", "DE") and not _TRUNK.search(plain):
            continue
        for number in PhoneNumberMatcher(plain, region, leniency=Leniency.VALID):
            span = (number.start, number.end)
            kind, raw = phonenumbers.number_type(number.number), number.raw_string
            charity = kind == PhoneNumberType.UAN and _CHARITY.match(raw)
            if charity or (kind in _PUBLIC and not _MOBILE_CN.fullmatch(raw)):
                public.append(span)
            elif _is_plausible(text, region, number):
                extension = _EXTENSION.match(text, span[1])
                found.append((span[0], extension.end() if extension else span[1]))
    yield from (span for span in found if not any(start < span[1] and span[0] < end for start, end in public))


_PLATFORM = (
    r"(?:扣扣|企鹅|微信|薇信|威信|微博|抖音|小红书|快手|B站|知乎|(?<![a-z0-9])(?:QQ|v信|wechat|weixin|vx|wx|telegram|tg|"
    r"whatsapp|instagram|insta|ins|ig|snapchat|discord|weibo|douyin|tiktok|xiaohongshu|xhs|rednote|bilibili|skype|line\s?id|"
    r"twitter|twitch|youtube|steam|threads|signal|facebook|fb|kik)(?![a-z]))"
)
_ASKED = r"(?:加我?(?:的|个)?\s*(?:(?:vx?|wx|qq?)(?![a-z])|薇信?|威信?|微信?|扣扣?|企鹅))"
_BETWEEN = r"(?:\s|号码|号|群|账号|帐号|昵称|username|handle|account|name|number|tag|id|是|叫|is|:|=|at){0,6}"
_ACCOUNT = re.compile(
    rf"(?:{_PLATFORM}|{_ASKED}){_BETWEEN}(?P<name>[0-9]{{5,12}}(?![0-9.块元步人次条])|"
    r"@?(?=[a-z_.-]*[0-9_])[a-z][a-z0-9_.-]{3,28}[a-z0-9_](?:#[0-9]{4})?)",
    re.IGNORECASE,
)
_PLAIN_ACCOUNT = re.compile(
    rf"{_PLATFORM}\s*(?:号码?|账号|帐号|id)?\s*:\s*"
    r"(?P<name>[a-z][a-z0-9._-]{4,28}[a-z0-9](?:#[0-9]{4})?)(?![a-z0-9 ])|"
    rf"{_PLATFORM}\s*(?:user\s?name|handle|id|account name)\s*(?:is|:)\s*"
    r"(?P<named>[a-z][a-z0-9._-]{4,28}[a-z0-9])|"
    rf"{_PLATFORM}\s*(?:user\s?name|handle|id|account|name|tag)\s*(?:is|:)?\s*"
    r"(?P<marked>[a-z][a-z0-9]{1,20}(?:[._](?-i:[a-z])[a-z0-9]{1,20}){1,3})(?=\s*(?:[,;!?)]|\.?\s*$|\.\s))|"
    rf"{_PLATFORM}\s*(?:user\s?name|handle|id|account|name|tag)?\s*(?:is|:)?\s*"
    r"(?P<formed>live:[a-z0-9._-]{3,30}|[a-z][a-z0-9._]{1,31}#[0-9]{4}(?![0-9])|[a-z][a-z0-9]{1,20}(?:[._][a-z0-9]{2,20}){2,3})|"
    r"(?:小红书|微博|抖音|快手|B站|知乎)上?(?:搜索?|关注)(?:一下)?\s*:?\s*"
    r"(?P<sought>[\u4e00-\u9fffA-Za-z0-9_-]{2,12}?)(?:就|能|可以|来){1,2}(?:是我|看到我?|找到我?|搜到我?|关注我|加我)|"
    r"(?:小红书|微博|抖音|快手|B站|知乎)(?:(?:账号|帐号|昵称|名字|名|ID|号)(?:是|叫|:)|叫做?(?!停|人|好|卖|板|嚣|车|外卖|苦|救|冤|价|屈|醒|座|法|来|去|了|他|她|你|它|大家|得|着|过|出|起|响))\s*"
    r"(?P<nick>(?!被|不|没|什么|谁|哪|个|我|空|新)[\u4e00-\u9fffA-Za-z0-9_-]{2,20})",
    re.IGNORECASE,
)
_HEART = re.compile(
    r"(?:微|薇|威|(?<![a-z])[vV])\s*[❤♥❣💓💗💕💖💘💙💚💛💜🖤🤍🤎🧡🩷]\ufe0f?\s*(?:号|信|同号|id|是|:|\s)*(?P<name>[a-z0-9][a-z0-9_-]{3,28})",
    re.IGNORECASE,
)
"""The messenger whose second character is written as a heart."""
_MENTION = re.compile(
    r"(?<![\w@/.])@(?!\d{1,4}(?:am|pm|:|\b))[A-Za-z0-9_][A-Za-z0-9_.]*[A-Za-z0-9_]"
    r"|(?<![A-Za-z0-9/])/?u/[A-Za-z0-9_-]{3,20}\b"
    r"|@(?!我|你|他|她|它|大家|所有|全体|一下)[\u4e00-\u9fff][\u4e00-\u9fff\w-]{1,7}(?=[\s:,.!?，。！？：]|$)",
    re.IGNORECASE | re.ASCII,
)


def find_handles(text: str) -> Iterator[Span]:
    """Names of accounts: ``@name``, ``u/name``, and what follows the name of a messenger or network."""
    yield from (found.span() for found in _MENTION.finditer(text))
    yield from (found.span("name") for found in _ACCOUNT.finditer(text))
    yield from (found.span("name") for found in _HEART.finditer(text))
    for found in _PLAIN_ACCOUNT.finditer(text):
        yield found.span(found.lastgroup or 0)


_RESIDENT = re.compile(r"(?<![\dA-Za-z])(\d{6})([ -]?)(\d{8})\2(\d{3}[\dXx])(?![\dA-Za-z])")
_RESIDENT_OLD = re.compile(r"(?<!\d)\d{15}(?!\d)")
_RESIDENT_CUE = re.compile(r"身份证|resident id|chinese id|id card", re.IGNORECASE)
_PROVINCES = {11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54,
              61, 62, 63, 64, 65, 71, 81, 82}  # fmt: skip
_SOCIAL = re.compile(r"(?<![\d-])(?!000|666)\d{3}([- ]?)(?!00)\d{2}\1(?!0000)\d{4}(?![\d-])")
_SOCIAL_CUE = re.compile(r"\bssn\b|social security", re.IGNORECASE)


def _is_date(digits: str) -> bool:
    try:
        return 1800 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year < 2100
    except ValueError:
        return False


def find_ids(text: str) -> Iterator[Span]:
    """Numbers that a state gives a person: Chinese resident ids (18 digits, and the old 15), US social security."""
    for found in _RESIDENT.finditer(text):
        number = f"{found[1]}{found[3]}{found[4]}".upper()
        dated = int(number[:2]) in _PROVINCES and _is_date(number[6:14])
        if (dated and ric.calc_check_digit(number) == number[-1]) or _follows(text, found.start(), _RESIDENT_CUE, 12):
            yield found.span()
    for found in _RESIDENT_OLD.finditer(text):
        dated = int(found[0][:2]) in _PROVINCES and _is_date("19" + found[0][6:12])
        if dated and _follows(text, found.start(), _RESIDENT_CUE, 12):
            yield found.span()
    for found in _SOCIAL.finditer(text):
        if found[1] == "-" or _follows(text, found.start(), _SOCIAL_CUE):
            yield found.span()


_PASSPORT = re.compile(
    r"(?:passport|reisepass|护照|通行证|台胞证|回乡证)(?:[^A-Za-z0-9\n]|number|num|no\b|nr\b|is\b|was\b){0,12}?"
    r"(?P<it>[A-Za-z]{0,2}\d{6,9}[A-Za-z]?|(?=(?:[A-Z]*\d){4})[CFGHJKLMNPRTVWXYZ0-9]{9,10})(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9])(?P<before>[A-Za-z]{1,2}\d{7,8})"
    r"(?=[^A-Za-z0-9\n]{0,8}(?:is my |was my )?(?:passport|护照|通行证))",
    re.IGNORECASE,
)


def find_passports(text: str) -> Iterator[Span]:
    """Numbers of passports and travel permits, where a word says that they are."""
    yield from (found.span(found.lastgroup or 0) for found in _PASSPORT.finditer(text))


_CARD = re.compile(
    r"(?<![\w.-])(?:\d{4}([ .-]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?|\d{4}([ .-]?)\d{6}\2\d{4,5}|\d{13,19})(?![\w-])",
    re.ASCII,
)
_ISSUER = re.compile(r"4|5[1-5]|2(?:2[2-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[68])|35|6(?:011|4[4-9]|5)|6[0-9]")


def find_cards(text: str) -> Iterator[Span]:
    """Numbers of payment cards: an issuer's first digits, and the check digit (Luhn)."""
    for found in _CARD.finditer(text):
        number = re.sub(r"\D", "", found[0])
        counted = found[0].isdigit() and _follows(text, found.start(), _COUNTED)
        if _ISSUER.match(number) and luhn.is_valid(number) and not counted:
            yield found.span()


_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2} ?\d{2}(?:[ -]?[A-Za-z0-9]){11,40}", re.ASCII)

_WORD = re.compile("[A-Za-z0-9]")


def find_ibans(text: str) -> Iterator[Span]:
    """International bank account numbers: a country's form, and the check digits (mod 97)."""
    for found in _IBAN.finditer(text):
        ends = [end for end in range(found.end(), found.start() + 14, -1) if not _WORD.match(text, end)]
        for end in ends:
            if _WORD.match(text, end - 1) and iban.is_valid(text[found.start() : end], check_country=False):
                yield found.start(), end
                break


_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?P<port>:\d{2,5})?(?![\w]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])(?:[23][0-9a-f]{3}|fe80):[0-9a-f:]{2,38}[0-9a-f](?![\w:])", re.IGNORECASE | re.ASCII)
_VERSION = re.compile(r"(?:version|\bver\.?|\bv|版本号?|release|build|section|chrome|firefox|python|第)\W{0,3}$", re.I)
_HOME = [IPv4Network(n) for n in ("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


def find_ips(text: str) -> Iterator[Span]:
    """Internet addresses; not those inside a home or a machine, which are everybody's."""
    for found in _IPV4.finditer(text):
        try:
            address = IPv4Address(found[0].partition(":")[0])
        except AddressValueError:
            continue
        small = max(address.packed) < 32
        if not small and not any(address in home for home in _HOME) and not _follows(text, found.start(), _VERSION):
            yield found.span()
    for found in _IPV6.finditer(text):
        try:
            IPv6Address(found[0])
        except AddressValueError:
            continue
        yield found.span()


_PLATE_CN = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][ ·・•.-]?"
    r"(?=[A-Z]{0,3}\d)[A-HJ-NP-Z0-9]{5,6}(?![A-Za-z0-9块元次件个])|粤Z[A-HJ-NP-Z0-9]{4}[港澳]"
)
_PLATE = re.compile(
    r"(?i:licen[cs]e plate|plate|registration|reg\b|kennzeichen|车牌)"
    r"(?i:\W|号码?|number|no\.|is\b|was\b|says\b|是){0,8}?"
    r"(?P<it>(?=[A-Z -]*\d)(?=[\d -]*[A-Z])[A-Z0-9]{1,7}(?:[ -][A-Z0-9]{1,4}){0,2})(?![A-Za-z0-9])"
)


def find_plates(text: str) -> Iterator[Span]:
    """Number plates: Chinese ones by their form, others where a word says that they are."""
    yield from (found.span() for found in _PLATE_CN.finditer(text))
    for found in _PLATE.finditer(text):
        if 4 <= sum(map(str.isalnum, found["it"])) <= 8:
            yield found.span("it")


_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Court|Ct|Terrace|Place|Pl|Boulevard|Blvd|Way|Close|Crescent|"
    r"Square|Sq|Highway|Hwy|Parkway|Pkwy|Circle)\b"
)
_ADDRESS = re.compile(
    r"(?<![\w.,$/-])\d{1,5}[A-Za-z]? (?:[NSEW]\.? |North |South |East |West )?(?:[A-Z][a-z]+ ){1,3}"
    + _STREET
    + r"(?:\.?,? (?:Apt|Apartment|Unit|Suite|#)\.? ?\w{1,5})?"
    r"(?:, [A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})?(?:,? [A-Z]{2}(?: \d{5})?)?(?=[^\w\s]|\s*$))?"
)
_YEAR = re.compile(r"\b(?:in|since|by|of|until|till|from|after|before) $", re.IGNORECASE)
_POST = re.compile(r"\d.{3,60}\b(?:[A-Z]{2},? \d{5}|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})\b")
_PLACE = r"(?:(?![我你他她它的了在是到去从寄搬住址有着见走过说知道家和])[\u4e00-\u9fff])"
_AT = r"(?:(?<=[在到住去从寄址往:])[有着见走过说知道家和])?"
"""Such a character begins a name where the word before it says that a place follows."""
_ADDRESS_CN = re.compile(
    rf"(?:{_PLACE}{{2,8}}?(?:省|自治区))?(?:{_PLACE}{{2,7}}?[市州])?(?:{_PLACE}{{1,6}}?[区县镇乡])?"
    rf"(?:{_AT}{_PLACE}{{1,8}}?(?:大道|大街|胡同|[路街巷])(?:[一二三四五六七八九]段)?\d{{1,5}}[号弄](?!线)院?|"
    rf"{_PLACE}{{2,8}}?(?:小区|花园|新村|公寓|家园|[苑村])\d{{1,4}}(?:号楼|[栋幢座号]))"
    rf"(?:{_PLACE}{{2,8}}(?:小区|花园|公寓|广场|大厦))?"
    r"(?:[A-Z]?\d{1,5}(?:号楼|单元|[栋幢座弄号楼层室房]))*(?:\d{2,5}(?!\d))?"
)


def find_addresses(text: str) -> Iterator[Span]:
    """Street addresses: a number and a street, and the rest of it where it follows (pyap2: US, Britain)."""
    for found in _ADDRESS.finditer(text):
        year = re.match(r"(?:19|20)\d\d ", found[0])
        if not (year and _follows(text, found.start(), _YEAR, 8)):
            yield found.span()
    yield from (found.span() for found in _ADDRESS_CN.finditer(text))
    if _POST.search(text):
        for country in ("US", "GB"):
            for address in pyap.parse(text, country=country):
                words = map(re.escape, re.findall(r"\w+", address.full_address))
                if place := re.search(r"\W+".join(words), text):
                    yield place.span()


FINDERS: dict[str, Finder] = {
    "email": find_mail,
    "url": find_urls,
    "handle": find_handles,
    "id": find_ids,
    "passport": find_passports,
    "card": find_cards,
    "iban": find_ibans,
    "ip": find_ips,
    "plate": find_plates,
    "phone": find_phones,
    "address": find_addresses,
}
