//! Sentences in which somebody speaks about the text instead of the business: a model that
//! presents or refuses its work, or a prompt that describes it. They have no fixed wording, so what
//! counts is which kinds of words meet in one sentence.

use std::ops::Range;

use crate::rule::CopyRule;
use crate::text::{View, sentences};

/// Maximum number of words of a sentence that are looked at.
const MAX_WORDS: usize = 60;

/// Number of words in which a model takes its task.
const OPENING: usize = 12;

/// What is written, in folded form.
const WORK: &str = "copy text texts headline headlines tagline taglines paragraph paragraphs draft \
    wording rewrite description descriptions title titles content introduction intro json prompt \
    texto textos titulo titulos titular titulares paragrafo parrafo parrafos descricao descripcion \
    conteudo contenido versao texte textes titre titres accroche paragraphe contenu \
    uberschrift uberschriften absatz absatze inhalt inhalte beschreibung entwurf titel testo testi \
    titolo titoli paragrafo paragrafi descrizione contenuto bozza نص النص نصا عنوان عناوين المحتوي \
    טקסט הטקסט כותרת כותרות תוכן";

/// What presents it, near the beginning of a sentence.
const PRESENTS: &str = "here below following voici dessous ecco seguito aqui abaixo segue seguem \
    continuacion hier nachfolgend folgend folgende anbei nachstehend sotto sure certainly اليك \
    التالي يلي ادناه הנה להלן מצורף";

/// What is said of work that is presented.
const OF_WORK: &str = "option options optimized optimised tailored compelling engaging revised \
    updated requested website homepage page site seo version versions suggestion suggestions \
    variation variations your web opcao opcoes otimizado revisado revisada solicitado sugestao \
    sugestoes versoes pagina opcion opciones optimizado solicitada sugerencia propuesta propuestas \
    versiones option proposition propositions optimise revise revisee demande demandee suggestions \
    vorschlag vorschlage uberarbeiteten uberarbeitete uberarbeiteter optimierten optimierte \
    gewunschten gewunschte startseite webseite webseiten proposta proposte opzione opzioni \
    ottimizzato rivisto rivista richiesto richiesta suggerimenti versione موقعك المطلوب خيارات \
    مقترح אתר האתר גרסה גרסאות מותאם";

/// Work that is called by its state.
const DRAFTS: &str = "version versions option options suggestion suggestions variation variations \
    rewrite take attempt versao opcao sugestao opcion sugerencia propuesta proposition vorschlag \
    fassung variante proposta opzione نسخه خيار גרסה הצעה";

/// Writing.
const WRITES: &str = "write rewrite generate compose escrever redigir gerar escribir redactar \
    generar rediger ecrire generer schreiben verfassen generieren formulieren scrivere redigere \
    generare كتابه اكتب לכתוב";

/// Making a text, also in the first person.
const MAKES: &str = "write writing draft create help escrever escrevo redigir crio criar elaborar \
    redactare redacto escribire escribir escribo redactar creare rediger redige redigerai ecris \
    ecrire preparer erstelle erstellen schreibe schreiben verfasse verfassen formuliere scrivo \
    scrivero scrivere preparo preparero creo redigo ساكتب اكتب اعد אכתוב לכתוב אכין";

/// How a model takes a task, as one of the first words of its reply.
const AGREES: &str = "sure certainly absolutely okay ok happy glad understood noted claro certo \
    entendido perfeito perfecto perfetto supuesto entendu parfait accord gerne gern naturlich \
    selbstverstandlich verstanden certamente volentieri capito بالتاكيد بالطبع حسنا בטח כמובן \
    בשמחה";

/// A model's name for itself.
const MODELS: [&str; 4] = ["AI", "IA", "KI", "LLM"];

/// Regret.
const REGRETS: &str = "unfortunately sorry apologize apologise apologies infelizmente desculpe \
    desculpas disculpas excuse scuso lamento lamentablemente desafortunadamente desgraciadamente \
    siento disculpa malheureusement desole desolee regrette leider entschuldigung bedaure \
    purtroppo spiacente dispiace للاسف عذرا اعتذر לצערי מצטער מצטערת";

/// The first person singular, as pronoun or verb.
const SPEAKERS: &str = "i ich mir je puedo tengo dispongo posso tenho consigo disponho ho sono \
    riesco dispongo يمكنني استطيع لدي אני איני לי";

/// What a model says it lacks, or was asked for.
const LACKS: &str = "datos dados donnees daten dati information info details detail context \
    request verify specifics data informacoes detalhes contexto pedido solicitacao informacion \
    detalles solicitud informations contexte renseignements informationen angaben anfrage \
    kontext einzelheiten informazioni dettagli richiesta contesto معلومات تفاصيل المعلومات מידע \
    פרטים בקשה";

/// What a model did because something was missing, in the first person.
const DID: &str = "focused wrote kept left used assumed omitted chose added based written \
    drafted redige ecrit garde laisse utilise suppose omis choisi prefere gehalten geschrieben \
    formuliert verwendet weggelassen angenommen verfasst gewahlt omitido escrito redactado usado \
    dejado mantenido supuesto elegido scritto usato lasciato omesso mantenuto ipotizzato scelto \
    preferito escrevi usei omiti deixei mantive optei assumi redigi كتبت استخدمت כתבתי השתמשתי";

/// Who did it.
const WHO: &str = "i ich ai j he ho escrevi usei omiti deixei mantive optei assumi redigi كتبت \
    استخدمت כתבתי השתמשתי";

/// What says that something was missing.
const MISSING: &str = "specified provided given supplied available mentioned listed fournie \
    fourni fournis recu recus precise precisee precises disponible angegeben vorliegen vorliegt \
    vorhanden genannt fornito forniti forniscono specificato disponibili disponibile avendo \
    informado informada fornecido fornecida especificado facilitado proporcionado indicado \
    indicada encontrei recibido متوفره متوفر צוין נמסר";

/// A model's names for what it is.
const ASSISTANTS: &str = "assistant assistente asistente assistenten assistenz مساعد עוזר";

/// Of a machine.
const VIRTUAL: &str = "virtual digital virtuale virtuel virtueller virtuelle artificial ki ai ia \
    افتراضي וירטואלי";

/// Duty.
const MUST: &str = "should must shall needs deve devem debe deben doit doivent soll sollte sollten \
    muss devono dovrebbe يجب ينبغي צריך חייב";

/// Measures of texts.
const MEASURES: &str = "words characters sentences tone concise palavras caracteres frases tom \
    palabras tono mots caracteres phrases ton worter zeichen satze tonfall parole caratteri frasi \
    كلمه كلمات حرف نبره מילים תווים טון";

/// Limits of a length.
const LIMITS: &str = "under below most max maximum than within exactly ate maximo hasta \
    minimo plus moins hochstens maximal weniger mindestens massimo meno oltre entro about around";

/// What a length is counted in.
const COUNTED: &str = "words word characters palavras palabras mots worter wortern zeichen parole \
    caracteres caratteri كلمه كلمات מילים";

/// Negations.
const NOT: &str = "not no cannot t don unable without enough nao sem insuficiente sin ne pas \
    insuffisantes nicht keine kein nichts non لا ليس لم אין לא";

/// Negations of a thing.
const NOT_OR_NONE: &str = "not no cannot t without nao sem no sin ne n pas aucun aucune nicht \
    keine kein keinen non nessun nessuna ningun ninguna nenhum nenhuma لا لم لن אין לא";

/// The remarks of a text about itself, with their places in the folded text.
pub(crate) fn find(view: &View<'_>) -> Vec<(CopyRule, Range<usize>)> {
    let mut found = Vec::new();
    let mut next = 0;
    let opening = 0..view.words.len().min(OPENING);
    let has = |list: &str, words: Range<usize>| {
        words.into_iter().any(|index| is_in(view.word(index), list))
    };
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
        if let Some(rule) = rule(view, start..end) {
            found.push((rule, range));
        }
    }
    found
}

/// The rule that a sentence of these words breaks.
fn rule(view: &View<'_>, words: Range<usize>) -> Option<CopyRule> {
    /// The number of words within which a sentence presents something.
    const BEGINNING: usize = 3;
    let has = |list: &str, words: Range<usize>| {
        words.into_iter().any(|index| is_in(view.word(index), list))
    };
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
    if denies && words.clone().any(|index| MODELS.contains(&view.original_word(index))) {
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
    let is_counted = words.clone().any(|index| {
        let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
        is_in(view.word(index), COUNTED)
            && index > words.start
            && is_number(view.word(index - 1))
            && has(LIMITS, words.start.max(index.saturating_sub(5))..index)
    });
    if is_counted {
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

/// The end of the last of some words in the folded text.
fn end_of(view: &View<'_>, words: &Range<usize>) -> usize {
    let last = words.end.checked_sub(1).and_then(|last| view.words.get(last));
    last.map_or(0, |word| word.range().end)
}

/// Whether a word is in a list of words with spaces between them.
fn is_in(word: &str, list: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
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
        ];
        for text in refusals {
            assert_eq!(of(text), Some(CopyRule::Refusal), "{text}");
        }
        let order = "The copy should be friendly and no longer than 50 words.";
        assert_eq!(of(order), Some(CopyRule::PromptFragment));
        let copy = [
            "Hier ist der Platz für Ihre Pläne.",
            "Unfortunately we are closed on Mondays, and we are not sorry.",
            "Here you can read the story of our house.",
            "Purtroppo non ho più posto per agosto.",
            "I kept my grandmother's oven, and I do not regret it.",
            "Nunca he usado harina que no conozco.",
        ];
        for text in copy {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
