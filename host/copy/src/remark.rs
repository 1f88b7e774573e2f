//! Sentences in which somebody speaks about the text instead of the business: a model that
//! presents or refuses its work, or a prompt that describes it. They have no fixed wording, so what
//! counts is which kinds of words meet in one sentence.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use crate::rule::CopyRule;
use crate::text::{View, sentences};

/// Maximum number of words of a sentence that are looked at.
const MAX_WORDS: usize = 60;

/// Number of words in which a model takes its task.
const OPENING: usize = 12;

/// Some of the lists of this module, a bit for each.
type Lists = u32;

/// Words in folded form.
#[derive(Debug, Clone, Copy)]
struct List {
    /// The bit of this list.
    bit: Lists,
    /// With spaces between them.
    words: &'static str,
}

impl List {
    const fn new(number: u32, words: &'static str) -> Self {
        List { bit: 1 << number, words }
    }
}

/// What is written.
const WORK: List = List::new(
    0,
    "copy text texts headline headlines tagline taglines paragraph paragraphs draft \
    wording rewrite description descriptions title titles content introduction intro json prompt \
    texto textos titulo titulos titular titulares paragrafo parrafo parrafos descricao descripcion \
    conteudo contenido versao texte textes titre titres accroche paragraphe contenu \
    uberschrift uberschriften absatz absatze inhalt inhalte beschreibung entwurf titel testo testi \
    titolo titoli paragrafo paragrafi descrizione contenuto bozza نص النص نصا عنوان عناوين المحتوي \
    טקסט הטקסט כותרת כותרות תוכן",
);

/// What presents it, near the beginning of a sentence.
const PRESENTS: List = List::new(
    1,
    "here below following voici dessous ecco seguito aqui abaixo segue seguem \
    continuacion hier nachfolgend folgend folgende anbei nachstehend sotto sure certainly اليك \
    التالي يلي ادناه הנה להלן מצורף",
);

/// What is said of work that is presented.
const OF_WORK: List = List::new(
    2,
    "option options optimized optimised tailored compelling engaging revised \
    updated requested website homepage page site seo version versions suggestion suggestions \
    variation variations your web opcao opcoes otimizado revisado revisada solicitado sugestao \
    sugestoes versoes pagina opcion opciones optimizado solicitada sugerencia propuesta propuestas \
    versiones option proposition propositions optimise revise revisee demande demandee suggestions \
    vorschlag vorschlage uberarbeiteten uberarbeitete uberarbeiteter optimierten optimierte \
    gewunschten gewunschte startseite webseite webseiten proposta proposte opzione opzioni \
    ottimizzato rivisto rivista richiesto richiesta suggerimenti versione موقعك المطلوب خيارات \
    مقترح אתר האתר גרסה גרסאות מותאם",
);

/// Work that is called by its state.
const DRAFTS: List = List::new(
    3,
    "version versions option options suggestion suggestions variation variations \
    rewrite take attempt versao opcao sugestao opcion sugerencia propuesta proposition vorschlag \
    fassung variante proposta opzione نسخه خيار גרסה הצעה",
);

/// Writing.
const WRITES: List = List::new(
    4,
    "write rewrite generate compose escrever redigir gerar escribir redactar \
    generar rediger ecrire generer schreiben verfassen generieren formulieren scrivere redigere \
    generare كتابه اكتب לכתוב",
);

/// Making a text, also in the first person.
const MAKES: List = List::new(
    5,
    "write writing draft create help escrever escrevo redigir crio criar elaborar \
    redactare redacto escribire escribir escribo redactar creare rediger redige redigerai ecris \
    ecrire preparer erstelle erstellen schreibe schreiben verfasse verfassen formuliere scrivo \
    scrivero scrivere preparo preparero creo redigo ساكتب اكتب اعد אכתוב לכתוב אכין",
);

/// How a model takes a task, as one of the first words of its reply.
const AGREES: List = List::new(
    6,
    "sure certainly absolutely okay ok happy glad understood noted claro certo \
    entendido perfeito perfecto perfetto supuesto entendu parfait accord gerne gern naturlich \
    selbstverstandlich verstanden certamente volentieri capito بالتاكيد بالطبع حسنا בטח כמובן \
    בשמחה",
);

/// A model's name for itself.
const MODELS: [&str; 4] = ["AI", "IA", "KI", "LLM"];

/// Regret.
const REGRETS: List = List::new(
    7,
    "unfortunately sorry apologize apologise apologies infelizmente desculpe \
    desculpas disculpas excuse scuso lamento lamentablemente desafortunadamente desgraciadamente \
    siento disculpa malheureusement desole desolee regrette leider entschuldigung bedaure \
    purtroppo spiacente dispiace للاسف عذرا اعتذر לצערי מצטער מצטערת",
);

/// The first person singular, as pronoun or verb.
const SPEAKERS: List = List::new(
    8,
    "i ich mir je puedo tengo dispongo posso tenho consigo disponho ho sono \
    riesco dispongo يمكنني استطيع لدي אני איני לי",
);

/// What a model says it lacks, or was asked for.
const LACKS: List = List::new(
    9,
    "datos dados donnees daten dati information info details detail context \
    request verify specifics data informacoes detalhes contexto pedido solicitacao informacion \
    detalles solicitud informations contexte renseignements informationen angaben anfrage \
    kontext einzelheiten informazioni dettagli richiesta contesto معلومات تفاصيل المعلومات מידע \
    פרטים בקשה",
);

/// What a model did because something was missing, in the first person.
const DID: List = List::new(
    10,
    "focused wrote kept left used assumed omitted chose added based written \
    drafted redige ecrit garde laisse utilise suppose omis choisi prefere gehalten geschrieben \
    formuliert verwendet weggelassen angenommen verfasst gewahlt omitido escrito redactado usado \
    dejado mantenido supuesto elegido scritto usato lasciato omesso mantenuto ipotizzato scelto \
    preferito escrevi usei omiti deixei mantive optei assumi redigi كتبت استخدمت כתבתי השתמשתי",
);

/// Who did it.
const WHO: List = List::new(
    11,
    "i ich ai j he ho escrevi usei omiti deixei mantive optei assumi redigi كتبت \
    استخدمت כתבתי השתמשתי",
);

/// What says that something was missing.
const MISSING: List = List::new(
    12,
    "specified provided given supplied available mentioned listed fournie \
    fourni fournis recu recus precise precisee precises disponible angegeben vorliegen vorliegt \
    vorhanden genannt fornito forniti forniscono specificato disponibili disponibile avendo \
    informado informada fornecido fornecida especificado facilitado proporcionado indicado \
    indicada encontrei recibido متوفره متوفر צוין נמסר",
);

/// A model's names for what it is.
const ASSISTANTS: List =
    List::new(13, "assistant assistente asistente assistenten assistenz مساعد עוזר");

/// Of a machine.
const VIRTUAL: List = List::new(
    14,
    "virtual digital virtuale virtuel virtueller virtuelle artificial ki ai ia \
    افتراضي וירטואלי",
);

/// Duty.
const MUST: List = List::new(
    15,
    "should must shall needs deve devem debe deben doit doivent soll sollte sollten \
    muss devono dovrebbe يجب ينبغي צריך חייב",
);

/// Measures of texts.
const MEASURES: List = List::new(
    16,
    "words characters sentences tone concise palavras caracteres frases tom \
    palabras tono mots caracteres phrases ton worter zeichen satze tonfall parole caratteri frasi \
    كلمه كلمات حرف نبره מילים תווים טון",
);

/// Limits of a length.
const LIMITS: List = List::new(
    17,
    "under below most max maximum than within exactly ate maximo hasta \
    minimo plus moins hochstens maximal weniger mindestens massimo meno oltre entro about around",
);

/// What a length is counted in.
const COUNTED: List = List::new(
    18,
    "words word characters palavras palabras mots worter wortern zeichen parole \
    caracteres caratteri كلمه كلمات מילים",
);

/// Negations.
const NOT: List = List::new(
    19,
    "not no cannot t don unable without enough nao sem insuficiente sin ne pas \
    insuffisantes nicht keine kein nichts non لا ليس لم אין לא",
);

/// Negations of a thing.
const NOT_OR_NONE: List = List::new(
    20,
    "not no cannot t without nao sem no sin ne n pas aucun aucune nicht \
    keine kein keinen non nessun nessuna ningun ninguna nenhum nenhuma لا لم لن אין לא",
);

/// All lists, in the order of their numbers.
const LISTS: [List; 21] = [
    WORK,
    PRESENTS,
    OF_WORK,
    DRAFTS,
    WRITES,
    MAKES,
    AGREES,
    REGRETS,
    SPEAKERS,
    LACKS,
    DID,
    WHO,
    MISSING,
    ASSISTANTS,
    VIRTUAL,
    MUST,
    MEASURES,
    LIMITS,
    COUNTED,
    NOT,
    NOT_OR_NONE,
];

/// The lists that each listed word is in.
static LISTED: LazyLock<HashMap<&'static str, Lists>> = LazyLock::new(|| {
    let mut listed = HashMap::new();
    for list in LISTS {
        for word in list.words.split_ascii_whitespace() {
            *listed.entry(word).or_default() |= list.bit;
        }
    }
    listed
});

/// The remarks of a text about itself, with their places in the folded text.
pub(crate) fn find(view: &View<'_>) -> Vec<(CopyRule, Range<usize>)> {
    let mut found = Vec::new();
    let mut next = 0;
    let opening = 0..view.words.len().min(OPENING);
    let words = Words::of(view);
    let has = |list, range| words.has(list, range);
    if has(AGREES, 0..opening.end.min(2))
        && has(MAKES, opening.clone())
        && has(WORK, opening.clone())
    {
        let end = view.words.get(opening.end - 1).map_or(0, |word| word.range().end);
        found.push((CopyRule::Refusal, 0..end));
    }
    for range in sentences(&view.folded) {
        let start = next;
        while view.words.get(next).is_some_and(|word| word.range().start < range.end) {
            next += 1;
        }
        let end = next.min(start + MAX_WORDS);
        if let Some(rule) = rule(&words, start..end) {
            found.push((rule, range));
        }
    }
    found
}

/// The words of a text with the lists that each is in.
struct Words<'a> {
    view: &'a View<'a>,
    lists: Vec<Lists>,
}

impl<'a> Words<'a> {
    fn of(view: &'a View<'a>) -> Self {
        let lists = |index| LISTED.get(view.word(index)).copied().unwrap_or_default();
        Words { view, lists: (0..view.words.len()).map(lists).collect() }
    }

    /// Whether one of these words is in a list.
    fn has(&self, list: List, words: Range<usize>) -> bool {
        self.lists.get(words).is_some_and(|words| words.iter().any(|of| of & list.bit != 0))
    }
}

/// The rule that a sentence of these words breaks.
fn rule(all: &Words<'_>, words: Range<usize>) -> Option<CopyRule> {
    /// The number of words within which a sentence presents something.
    const BEGINNING: usize = 3;
    let view = all.view;
    let has = |list, range| all.has(list, range);
    let beginning = words.start..words.end.min(words.start + BEGINNING);
    let has_work = has(WORK, words.clone());
    if has_work && has(PRESENTS, beginning) && has(OF_WORK, words.clone()) {
        return Some(CopyRule::Refusal);
    }
    let ends_open =
        view.folded[end_of(view, &words)..].trim_start_matches(['"', ')']).starts_with(':');
    let has_draft = has_work || has(DRAFTS, words.clone());
    if has_draft && ends_open && has(PRESENTS, words.start..words.end.min(words.start + BEGINNING))
    {
        return Some(CopyRule::Refusal);
    }
    let denies = has(SPEAKERS, words.clone()) && has(NOT, words.clone());
    let is_model =
        |index: usize| MODELS.contains(&view.original_word(index)) && !is_used(view, index);
    if denies && words.clone().any(is_model) {
        return Some(CopyRule::Refusal);
    }
    let is_short_of = has(LACKS, words.clone())
        && has(WRITES, words.clone())
        && (has_work || denies || has(REGRETS, words.clone()));
    if is_short_of {
        return Some(CopyRule::Refusal);
    }
    let lacks = has(LACKS, words.clone()) || has_work;
    if lacks
        && has(REGRETS, words.clone())
        && has(SPEAKERS, words.clone())
        && has(NOT, words.clone())
    {
        return Some(CopyRule::Refusal);
    }
    let is_number = |index: usize| view.word(index).bytes().all(|b| b.is_ascii_digit());
    // "(42 words)", and not the price of 250 words at a translator's.
    let is_aside = || {
        let start = view.words.get(words.start).map_or(0, |word| word.range().start);
        view.folded[..start].ends_with(['(', '[', '*', '_'])
    };
    let is_count = words.len() == 2
        && is_number(words.start)
        && has(COUNTED, words.start + 1..words.end)
        && is_aside();
    let is_counted = words.clone().any(|index| {
        has(COUNTED, index..index + 1)
            && index > words.start
            && is_number(index - 1)
            // A picture says more than 1,000 words.
            && !matches!(view.word(index - 1), "1000" | "000")
            && has(LIMITS, words.start.max(index.saturating_sub(5))..index)
    });
    if is_count || is_counted {
        return Some(CopyRule::PromptFragment);
    }
    // "Since no owner was specified, I focused on the bread."
    let lacked = has(MISSING, words.clone()) || has(LACKS, words.clone());
    if has(NOT_OR_NONE, words.clone())
        && lacked
        && has(DID, words.clone())
        && has(WHO, words.clone())
    {
        return Some(CopyRule::Refusal);
    }
    let is_assistant = has(ASSISTANTS, words.clone()) && has(VIRTUAL, words.clone());
    if is_assistant && has(NOT, words.clone()) {
        return Some(CopyRule::Refusal);
    }
    let is_order = has_work && has(MUST, words.clone()) && has(MEASURES, words);
    is_order.then_some(CopyRule::PromptFragment)
}

/// Whether the text speaks of a machine as of a tool: "I do not use AI", "not made by an AI".
fn is_used(view: &View<'_>, index: usize) -> bool {
    const USES: [&str; 31] = [
        "use",
        "used",
        "uses",
        "using",
        "with",
        "without",
        "by",
        "from",
        "no",
        "uso",
        "usa",
        "usamos",
        "utilizo",
        "utilizamos",
        "com",
        "con",
        "sem",
        "sin",
        "utilise",
        "utilisons",
        "avec",
        "sans",
        "par",
        "nutze",
        "verwende",
        "mit",
        "ohne",
        "durch",
        "utilizzo",
        "senza",
        "da",
    ];
    (index.saturating_sub(2)..index).any(|before| USES.contains(&view.word(before)))
}

/// The end of the last of some words in the folded text.
fn end_of(view: &View<'_>, words: &Range<usize>) -> usize {
    let last = words.end.checked_sub(1).and_then(|last| view.words.get(last));
    last.map_or(0, |word| word.range().end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_told_from_copy() {
        let of = |text: &str| find(&View::of(text)).first().map(|(rule, _)| *rule);
        let refusals = [
            "Below are three headline options for your website.",
            "Leider habe ich nicht genügend Informationen, um diesen Text zu schreiben.",
            "Di seguito trovi tre proposte di titolo per il sito.",
            "Since no owner was specified, I focused on the bread itself.",
            "Da keine Kundenstimmen vorliegen, habe ich den Abschnitt allgemein gehalten.",
            "Como assistente virtual, não tenho como confirmar o endereço.",
            "As an AI, I do not know the street.",
        ];
        for text in refusals {
            assert_eq!(of(text), Some(CopyRule::Refusal), "{text}");
        }
        let orders = [
            "The copy should be friendly and no longer than 50 words.",
            "Fresh bread every day. (42 words)",
            "Frisches Brot.\n[42 Wörter]",
        ];
        for text in orders {
            assert_eq!(of(text), Some(CopyRule::PromptFragment), "{text}");
        }
        let copy = [
            "Hier ist der Platz für Ihre Pläne.",
            "Unfortunately we are closed on Mondays, and we are not sorry.",
            "Here you can read the story of our house.",
            "Purtroppo non ho più posto per agosto.",
            "I kept my grandmother's oven, and I do not regret it.",
            "Nunca he usado harina que no conozco.",
            "I do not use AI: every drawing is made by hand.",
            "A picture says more than 1,000 words.",
            "250 words",
            "Übersetzung ins Deutsche.\n500 Wörter",
            "Ich arbeite nicht mit KI.",
            "I promise that these photos were not made by an AI.",
        ];
        for text in copy {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
