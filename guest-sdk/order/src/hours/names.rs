//! Names of days and words of opening hours, by language. All forms are folded, see
//! [`fold`](super::text::fold): lower case, no accents, no blanks, no final `.`.
//!
//! The tests compare the names of days with the CLDR. A table, and not a library with the CLDR's
//! data, because templates compile this crate too.

use std::collections::BTreeSet;

use super::Day;

/// The days of one language, from Monday: full name, short forms, inflected forms.
type Week = [&'static [&'static str]; 7];

/// The languages, in the order in which they are tried if the order's own does not know a word.
pub(super) const WEEKS: &[(&str, Week)] = &[
    (
        "en",
        [
            &["monday", "mon", "mo"],
            &["tuesday", "tue", "tues", "tu"],
            &["wednesday", "wed", "weds", "we"],
            &["thursday", "thu", "thur", "thurs", "th"],
            &["friday", "fri", "fr"],
            &["saturday", "sat", "sa"],
            &["sunday", "sun", "su"],
        ],
    ),
    (
        "pt",
        [
            &["segunda", "seg", "2a", "2ª"],
            &["terca", "ter", "3a", "3ª"],
            &["quarta", "qua", "4a", "4ª"],
            &["quinta", "qui", "5a", "5ª"],
            &["sexta", "sex", "6a", "6ª"],
            &["sabado", "sab"],
            &["domingo", "dom"],
        ],
    ),
    (
        "es",
        [
            &["lunes", "lun", "lu", "l"],
            &["martes", "mar", "ma", "m"],
            &["miercoles", "mie", "mi", "x"],
            &["jueves", "jue", "ju", "j"],
            &["viernes", "vie", "vi", "v"],
            &["sabado", "sab", "sa", "s"],
            &["domingo", "dom", "do", "d"],
        ],
    ),
    (
        "fr",
        [
            &["lundi", "lun", "lu"],
            &["mardi", "mar", "ma"],
            &["mercredi", "mer", "me"],
            &["jeudi", "jeu", "je"],
            &["vendredi", "ven", "ve"],
            &["samedi", "sam", "sa"],
            &["dimanche", "dim", "di"],
        ],
    ),
    (
        "de",
        [
            &["montag", "mon", "mo"],
            &["dienstag", "die", "di"],
            &["mittwoch", "mit", "mi"],
            &["donnerstag", "don", "do"],
            &["freitag", "fre", "fr"],
            &["samstag", "sonnabend", "sam", "sa"],
            &["sonntag", "son", "so"],
        ],
    ),
    (
        "it",
        [
            &["lunedi", "lun", "lu"],
            &["martedi", "mar", "ma"],
            &["mercoledi", "mer", "me"],
            &["giovedi", "gio", "gi"],
            &["venerdi", "ven", "ve"],
            &["sabato", "sabati", "sab", "sa"],
            &["domenica", "domeniche", "dom", "do"],
        ],
    ),
    (
        "nl",
        [
            &["maandag", "maa", "ma"],
            &["dinsdag", "din", "di"],
            &["woensdag", "woe", "wo"],
            &["donderdag", "don", "do"],
            &["vrijdag", "vrij", "vri", "vr"],
            &["zaterdag", "zat", "za"],
            &["zondag", "zon", "zo"],
        ],
    ),
    (
        "pl",
        [
            &["poniedzialek", "poniedzialku", "poniedzialki", "pon", "pn"],
            &["wtorek", "wtorku", "wtorki", "wto", "wt"],
            &["sroda", "srody", "srode", "sro", "sr"],
            &["czwartek", "czwartku", "czwartki", "czw", "cz"],
            &["piatek", "piatku", "piatki", "pia", "pt"],
            &["sobota", "soboty", "sobote", "sob", "sb", "so"],
            &["niedziela", "niedziele", "niedzieli", "niedz", "nie", "nd", "ndz"],
        ],
    ),
    (
        "ja",
        [
            &["月曜日", "月曜", "月"],
            &["火曜日", "火曜", "火"],
            &["水曜日", "水曜", "水"],
            &["木曜日", "木曜", "木"],
            &["金曜日", "金曜", "金"],
            &["土曜日", "土曜", "土"],
            &["日曜日", "日曜", "日"],
        ],
    ),
    (
        "zh",
        [
            &["星期一", "周一", "週一", "礼拜一", "禮拜一", "一"],
            &["星期二", "周二", "週二", "礼拜二", "禮拜二", "二"],
            &["星期三", "周三", "週三", "礼拜三", "禮拜三", "三"],
            &["星期四", "周四", "週四", "礼拜四", "禮拜四", "四"],
            &["星期五", "周五", "週五", "礼拜五", "禮拜五", "五"],
            &["星期六", "周六", "週六", "礼拜六", "禮拜六", "六"],
            &["星期日", "星期天", "周日", "周天", "週日", "礼拜天", "禮拜天", "礼拜日", "日", "天"],
        ],
    ),
    (
        "ar",
        [
            &["الاثنين", "الاتنين", "اثنين"],
            &["الثلاثاء", "ثلاثاء", "الثلاثا"],
            &["الاربعاء", "اربعاء", "الاربعا"],
            &["الخميس", "خميس"],
            &["الجمعه", "جمعه"],
            &["السبت", "سبت"],
            &["الاحد", "احد"],
        ],
    ),
    (
        "he",
        [
            &["יוםשני", "שני", "ב", "יוםב"],
            &["יוםשלישי", "שלישי", "ג", "יוםג"],
            &["יוםרביעי", "רביעי", "ד", "יוםד"],
            &["יוםחמישי", "חמישי", "ה", "יוםה"],
            &["יוםשישי", "שישי", "ו", "יוםו", "ששי"],
            &["יוםשבת", "שבת", "ש"],
            &["יוםראשון", "ראשון", "א", "יוםא"],
        ],
    ),
    (
        "sv",
        [
            &["mandag", "man", "ma"],
            &["tisdag", "tis", "ti"],
            &["onsdag", "ons", "on"],
            &["torsdag", "tors", "tor", "to"],
            &["fredag", "fre", "fr"],
            &["lordag", "lor", "lo"],
            &["sondag", "son", "so"],
        ],
    ),
    (
        "da",
        [
            &["mandag", "man", "ma"],
            &["tirsdag", "tirs", "tir", "ti"],
            &["onsdag", "ons", "on"],
            &["torsdag", "tors", "tor", "to"],
            &["fredag", "fre", "fr"],
            &["lordag", "lor", "lo"],
            &["sondag", "son", "so"],
        ],
    ),
    (
        "ru",
        [
            &["понедельник", "пн"],
            &["вторник", "вт"],
            &["среда", "среду", "ср"],
            &["четверг", "чт"],
            &["пятница", "пятницу", "пт"],
            &["суббота", "субботу", "сб"],
            &["воскресенье", "вс"],
        ],
    ),
    (
        "tr",
        [
            &["pazartesi", "pzt", "pt"],
            &["sali", "sal", "sa"],
            &["carsamba", "car", "ca"],
            &["persembe", "per", "pe"],
            &["cuma", "cum", "cu"],
            &["cumartesi", "cmt", "ct"],
            &["pazar", "paz", "pa"],
        ],
    ),
    (
        "ko",
        [
            &["월요일", "월"],
            &["화요일", "화"],
            &["수요일", "수"],
            &["목요일", "목"],
            &["금요일", "금"],
            &["토요일", "토"],
            &["일요일", "일"],
        ],
    ),
    (
        "uk",
        [
            &["понеділок", "пн"],
            &["вівторок", "вт"],
            &["середа", "середу", "ср"],
            &["четвер", "чт"],
            &["п'ятниця", "п’ятниця", "пʼятниця", "пт"],
            &["субота", "суботу", "сб"],
            &["неділя", "неділю", "нд"],
        ],
    ),
    (
        "el",
        [
            &["δευτέρα", "δευτερα", "δευ"],
            &["τρίτη", "τριτη", "τρι"],
            &["τετάρτη", "τεταρτη", "τετ"],
            &["πέμπτη", "πεμπτη", "πεμ"],
            &["παρασκευή", "παρασκευη", "παρ"],
            &["σάββατο", "σαββατο", "σαβ"],
            &["κυριακή", "κυριακη", "κυρ"],
        ],
    ),
    (
        "cs",
        [
            &["pondeli", "po"],
            &["utery", "ut"],
            &["streda", "stredu", "st"],
            &["ctvrtek", "ct"],
            &["patek", "pa"],
            &["sobota", "sobotu", "so"],
            &["nedele", "nedeli", "ne"],
        ],
    ),
    (
        "ro",
        [
            &["luni", "lun", "lu"],
            &["marti", "mar", "ma"],
            &["miercuri", "mie", "mi"],
            &["joi", "jo"],
            &["vineri", "vin", "vi"],
            &["sambata", "sam", "sb"],
            &["duminica", "dum", "du"],
        ],
    ),
    (
        "fi",
        [
            &["maanantai", "maanantaina", "ma"],
            &["tiistai", "tiistaina", "ti"],
            &["keskiviikko", "keskiviikkona", "ke"],
            &["torstai", "torstaina", "to"],
            &["perjantai", "perjantaina", "pe"],
            &["lauantai", "lauantaina", "la"],
            &["sunnuntai", "sunnuntaina", "su"],
        ],
    ),
    (
        "hu",
        [
            &["hetfo", "h"],
            &["kedd", "k"],
            &["szerda", "sze"],
            &["csutortok", "cs"],
            &["pentek", "p"],
            &["szombat", "szo"],
            &["vasarnap", "v"],
        ],
    ),
];

/// Words for Monday to Friday.
pub(super) const WEEKDAYS: &[&str] = &[
    "weekdays",
    "weekday",
    "workingdays",
    "businessdays",
    "diasuteis",
    "diautil",
    "diadesemana",
    "diasdesemana",
    "entresemana",
    "diaslaborables",
    "diaslaborales",
    "laborables",
    "ensemaine",
    "joursouvrables",
    "semaine",
    "wochentags",
    "unterderwoche",
    "feriali",
    "giorniferiali",
    "infrasettimanale",
    "doordeweeks",
    "werkdagen",
    "dnirobocze",
    "wdnirobocze",
    "平日",
    "工作日",
    "ימיחול",
    "vardagar",
    "hverdage",
    "hverdager",
    "будни",
    "m-f",
    "m–f",
    "평일",
    "будні",
];

/// Words for Saturday and Sunday.
pub(super) const WEEKENDS: &[&str] = &[
    "weekend",
    "weekends",
    "theweekend",
    "fimdesemana",
    "finsdesemana",
    "findesemana",
    "finesdesemana",
    "lewe",
    "wochenende",
    "amwochenende",
    "finesettimana",
    "nelweekend",
    "weekendy",
    "wweekend",
    "wweekendy",
    "土日",
    "周末",
    "週末",
    "helg",
    "helger",
    "выходные",
    "haftasonu",
    "주말",
];

/// Words for all days.
pub(super) const EVERY_DAY: &[&str] = &[
    "daily",
    "everyday",
    "alldays",
    "7days",
    "7daysaweek",
    "sevendaysaweek",
    "allweek",
    "diario",
    "diariamente",
    "todososdias",
    "todosdias",
    "todoslosdias",
    "adiario",
    "cadadia",
    "touslesjours",
    "tlj",
    "7j/7",
    "7jours/7",
    "taglich",
    "jedentag",
    "tuttiigiorni",
    "ognigiorno",
    "quotidianamente",
    "dagelijks",
    "elkedag",
    "alledagen",
    "codziennie",
    "毎日",
    "每天",
    "每日",
    "يوميا",
    "كليوم",
    "طوالالاسبوع",
    "كلايامالاسبوع",
    "כליום",
    "כלהשבוע",
    "בכליום",
    "allahdagar",
    "alladagar",
    "allehverdage",
    "ежедневно",
    "hergun",
    "年中無休",
];

/// Words for public holidays.
pub(super) const HOLIDAYS: &[&str] = &[
    "ph",
    "holiday",
    "holidays",
    "publicholidays",
    "bankholidays",
    "bankholiday",
    "bankhols",
    "bankhol",
    "공휴일",
    "federalholidays",
    "feriado",
    "feriados",
    "festivos",
    "diasfestivos",
    "festivo",
    "jourferie",
    "joursferies",
    "feries",
    "feiertag",
    "feiertage",
    "feiertags",
    "anfeiertagen",
    "sonnundfeiertage",
    "festivi",
    "giornifestivi",
    "feestdagen",
    "feestdag",
    "swieta",
    "祝日",
    "祝祭日",
    "祝",
    "节假日",
    "法定节假日",
    "公众假期",
    "العطل",
    "الاعياد",
    "العطلاتالرسميه",
    "חגים",
    "חג",
    "ערביחג",
    "helgdagar",
    "helligdage",
    "праздники",
    "resmitatiller",
];

/// Words for a closed day.
pub(super) const CLOSED: &[&str] = &[
    "encerra",
    "encerramos",
    "stengt",
    "suljettu",
    "zavreno",
    "zarva",
    "inchis",
    "κλειστα",
    "κλειστά",
    "вихідний",
    "зачинено",
    "休診",
    "休診日",
    "定休",
    "휴무",
    "휴무일",
    "정기휴무",
    "휴진",
    "naoabrimos",
    "noabrimos",
    "noabre",
    "naofunciona",
    "naofuncionamos",
    "wearenotopen",
    "geschl",
    "closedallday",
    "fermetoutelajournee",
    "chiusotuttoilgiorno",
    "closed",
    "close",
    "off",
    "dayoff",
    "notopen",
    "fechado",
    "fechada",
    "naoabre",
    "encerrado",
    "cerrado",
    "cerrada",
    "ferme",
    "fermee",
    "fermeture",
    "geschlossen",
    "ruhetag",
    "zu",
    "ruhetag!",
    "chiuso",
    "chiusa",
    "giornodichiusura",
    "riposo",
    "gesloten",
    "dicht",
    "zamkniete",
    "nieczynne",
    "休み",
    "定休日",
    "休業",
    "休業日",
    "お休み",
    "休息",
    "关门",
    "不营业",
    "休業日です",
    "مغلق",
    "اجازه",
    "عطله",
    "סגור",
    "stangt",
    "lukket",
    "закрыто",
    "выходной",
    "kapali",
];

/// Words for the whole day.
pub(super) const ALL_DAY: &[&str] = &[
    "24h",
    "24hs",
    "24hrs",
    "24hr",
    "24hours",
    "24hour",
    "open24hours",
    "24hoursaday",
    "open24h",
    "24/7",
    "24horas",
    "aberto24h",
    "aberto24horas",
    "24horasdia",
    "24horaspordia",
    "abierto24h",
    "abierto24horas",
    "24h/24",
    "24h/24h",
    "24heures",
    "24heuressur24",
    "24heures/24",
    "ouvert24h",
    "ouvert24h/24",
    "24stunden",
    "24std",
    "rundumdieuhr",
    "durchgehend",
    "24ore",
    "24oresu24",
    "24ore/24",
    "h24",
    "24uur",
    "24upd",
    "24godziny",
    "calodobowo",
    "24時間",
    "24時間営業",
    "24小时",
    "24小時",
    "全天",
    "24小时营业",
    "全天24小时",
    "24ساعه",
    "علىمدار24ساعه",
    "علىمدارالساعه",
    "24שעות",
    "24שעותביממה",
    "dygnetrunt",
    "dognetrundt",
    "круглосуточно",
    "24saat",
    "allday",
    "oallday",
    "24x7",
    "24hours/day",
    "24hours7days",
    "alwaysopen",
    "diainteiro",
    "24hpordia",
    "24hsaldia",
];

/// Words of morning, as they follow or precede a time.
pub(super) const MORNING: &[&str] = &[
    "a.m",
    "am",
    "a.m.",
    "damanha",
    "delamanana",
    "dumatin",
    "morgens",
    "vormittags",
    "dimattina",
    "delmattino",
    "'sochtends",
    "sochtends",
    "rano",
    "午前",
    "오전",
    "上午",
    "早上",
    "صباحا",
    "ص",
    "בבוקר",
    "لصباح",
];

/// Words of afternoon and evening.
pub(super) const AFTERNOON: &[&str] = &[
    "ظهرا",
    "بعدالظهر",
    "p.m",
    "pm",
    "p.m.",
    "datarde",
    "danoite",
    "delatarde",
    "delanoche",
    "del'apresmidi",
    "del’apresmidi",
    "dusoir",
    "nachmittags",
    "abends",
    "dipomeriggio",
    "disera",
    "delpomeriggio",
    "'smiddags",
    "'savonds",
    "popoludniu",
    "wieczorem",
    "午後",
    "오후",
    "下午",
    "晚上",
    "مساء",
    "م",
    "בערב",
    "אחרהצהריים",
    "אחה״צ",
    "אחהצ",
];

/// Words of noon.
pub(super) const NOON: &[&str] = &[
    "noon",
    "midday",
    "12noon",
    "meiodia",
    "meio-dia",
    "mediodia",
    "midi",
    "mittag",
    "mittags",
    "mezzogiorno",
    "poludnie",
    "正午",
    "中午",
    "ظهرا",
];

/// Words of midnight.
pub(super) const MIDNIGHT: &[&str] = &[
    "midnight",
    "12midnight",
    "meianoite",
    "meia-noite",
    "medianoche",
    "minuit",
    "mitternacht",
    "mezzanotte",
    "middernacht",
    "polnoc",
    "午夜",
    "منتصفالليل",
    "חצות",
];

/// The day that a folded word names in a language; `None` if the language does not know it.
fn in_language(week: &Week, word: &str) -> Option<Day> {
    let at = week.iter().position(|names| names.contains(&word))?;
    Day::ALL.get(at).copied()
}

/// The language that knows most of some folded words as days: the first of `preferred` that knows
/// as many as any, else another. `Di` is a Tuesday beside `Mi`, and a Sunday beside `Ve`. `None` if
/// no language knows any, or if several know as many, and not as the same days.
pub(crate) fn language_of<'l>(
    words: &BTreeSet<String>,
    preferred: impl IntoIterator<Item = &'l str>,
) -> Option<&'l str> {
    let found: Vec<(&'static str, Vec<Option<Day>>)> = WEEKS
        .iter()
        .map(|(name, week)| (*name, words.iter().map(|word| in_language(week, word)).collect()))
        .collect();
    let count = |days: &[Option<Day>]| days.iter().flatten().count();
    let most = found.iter().map(|(_, days)| count(days)).max().filter(|most| *most > 0)?;
    let best: Vec<_> = found.iter().filter(|(_, days)| count(days) == most).collect();
    for wanted in preferred {
        if best.iter().any(|(name, _)| *name == wanted) {
            return Some(wanted);
        }
    }
    let (name, days) = best.first()?;
    best.iter().all(|(_, other)| other == days).then_some(*name)
}

/// Names of the first and the last working day of a language, for a message; in English if the
/// language is not known.
pub(crate) fn examples(language: &str) -> (&'static str, &'static str) {
    let known = WEEKS.iter().find(|(name, _)| *name == language);
    let names = known.and_then(|(_, week)| Some((*week[0].first()?, *week[4].first()?)));
    names.unwrap_or(("monday", "friday"))
}

/// The day that a folded word names. The order's language decides first. A word that means
/// different days in other languages is none, unless English or Portuguese know it.
pub(super) fn day(word: &str, language: &str) -> Option<Day> {
    let plural = word.strip_suffix('s').filter(|single| single.chars().count() > 2);
    let forms = [Some(word), plural];
    let find = |week: &Week| forms.iter().flatten().find_map(|form| in_language(week, form));
    let known = |wanted: &str| WEEKS.iter().find(|(name, _)| *name == wanted);
    for wanted in [language, "en", "pt"] {
        if let Some(day) = known(wanted).and_then(|(_, week)| find(week)) {
            return Some(day);
        }
    }
    // A single letter is a day only in the language of the order.
    if word.chars().count() == 1 && word.is_ascii() {
        return None;
    }
    let mut found = WEEKS.iter().filter_map(|(_, week)| find(week));
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}
