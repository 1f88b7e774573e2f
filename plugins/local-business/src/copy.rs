//! The text of the site: the JSON schemas of the model's replies, and how their text is cleaned.
//!
//! The host has checked a reply against its schema, but the text itself is untrusted: it is
//! trimmed, truncated to a length that fits the design, and later escaped like every other value.
//! An empty text is replaced by the template's own wording where there is one; otherwise the reply
//! is an error (failure catalogue E7).
//!
//! The doc comments of the reply types are the descriptions in their schemas: the model reads them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::pages::Kind;

/// The strategy of the site, shared by all its pages.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// One or two sentences: what the business is for whom, and what sets it apart, using only
    /// facts from the order.
    pub positioning: String,
    /// Who the site speaks to.
    pub audience: String,
    /// The one idea the home page's headline carries.
    pub headline_angle: String,
    /// 3 to 8 words people search for.
    pub keywords: Vec<String>,
    /// How the copy sounds, in two or three short instructions.
    pub tone_guide: String,
}

/// Metadata and header of a page.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intro {
    /// For the browser's tab and search results, 20 to 60 characters, without the business's name.
    pub title: String,
    /// For search results, 70 to 155 characters, one or two sentences.
    pub description: String,
    /// The page's headline, at most 60 characters, no full stop.
    pub headline: String,
    /// One or two sentences below the headline, at most 220 characters.
    pub lead: String,
}

/// A short heading with a text.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// 2 to 6 words.
    pub title: String,
    /// One to three sentences, at most 320 characters.
    pub text: String,
}

/// A question a customer asks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// As the customer would ask it.
    pub question: String,
    /// Two to four sentences, using only facts from the order.
    pub answer: String,
}

/// The home page.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// Metadata and header of the page.
    pub intro: Intro,
    /// Heading of the part about the business.
    pub about_heading: String,
    /// Two to four sentences about the business.
    pub about_text: String,
    /// Heading above the services.
    pub services_heading: String,
    /// One sentence above the services.
    pub services_lead: String,
    /// One line for each service the prompt lists, in its order, at most 120 characters each.
    pub services: Vec<String>,
    /// Three reasons to choose this business, each grounded in a fact from the order.
    pub reasons: Vec<Point>,
    /// Heading of the last part, which asks the visitor to act.
    pub closing_heading: String,
    /// One sentence below it.
    pub closing_text: String,
}

/// The page about the business.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Metadata and header of the page.
    pub intro: Intro,
    /// The story in 2 to 4 paragraphs, using only facts from the order.
    pub paragraphs: Vec<String>,
    /// Three things the business stands for.
    pub values: Vec<Point>,
}

/// The services or the menu.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Metadata and header of the page.
    pub intro: Intro,
    /// A description of one or two sentences for each service the prompt lists, in its order.
    pub descriptions: Vec<String>,
}

/// The gallery.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gallery {
    /// Metadata and header of the page.
    pub intro: Intro,
    /// A caption of at most 80 characters for each service the prompt lists, in its order.
    pub captions: Vec<String>,
}

/// The page with testimonials of customers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Testimonials {
    /// Metadata and header of the page.
    pub intro: Intro,
}

/// Questions and answers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Faq {
    /// Metadata and header of the page.
    pub intro: Intro,
    /// 4 to 8 questions.
    pub questions: Vec<Question>,
}

/// How a customer gets a quote; no prices.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    /// Metadata and header of the page.
    pub intro: Intro,
    /// Three steps from the first contact to a quote.
    pub steps: Vec<Point>,
}

/// How to get in touch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Metadata and header of the page.
    pub intro: Intro,
}

/// A page of which only the title is known.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// Metadata and header of the page.
    pub intro: Intro,
    /// 2 to 5 parts.
    pub sections: Vec<Point>,
}

/// The copy of one page.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Copy {
    Home(Home),
    About(About),
    Services(Services),
    Gallery(Gallery),
    Testimonials(Testimonials),
    Faq(Faq),
    Pricing(Pricing),
    Contact(Contact),
    Custom(Custom),
}

/// A reply with an empty field that the page needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model's reply for `{page}` has nothing in `{field}`; a retry asks it again")]
pub struct EmptyCopy {
    /// The page's name in menus, or `strategy`.
    pub page: String,
    /// The empty field of the reply.
    pub field: &'static str,
}

impl Strategy {
    /// Cleans and truncates the text.
    ///
    /// # Errors
    /// [`EmptyCopy`] if the positioning is empty: it replaces text that other replies leave empty.
    pub fn tidy(mut self) -> Result<Strategy, EmptyCopy> {
        for (text, max) in [
            (&mut self.positioning, 600),
            (&mut self.audience, 400),
            (&mut self.headline_angle, 300),
            (&mut self.tone_guide, 600),
        ] {
            *text = cut(text, max);
        }
        self.keywords.truncate(8);
        cut_all(&mut self.keywords, 40);
        self.keywords.retain(|word| !word.is_empty());
        if self.positioning.is_empty() {
            return Err(EmptyCopy { page: "strategy".to_owned(), field: "positioning" });
        }
        Ok(self)
    }
}

impl Copy {
    /// Cleans and truncates the text. `label` is the page's name in menus.
    ///
    /// # Errors
    /// [`EmptyCopy`] if a part that the page cannot do without is empty.
    pub fn tidy(mut self, label: &str, business: &str) -> Result<Copy, EmptyCopy> {
        let empty = |field| EmptyCopy { page: label.to_owned(), field };
        match &mut self {
            Copy::Home(copy) => {
                copy.intro.tidy(business, business);
                for (text, max) in [
                    (&mut copy.about_heading, 80),
                    (&mut copy.about_text, 700),
                    (&mut copy.services_heading, 80),
                    (&mut copy.services_lead, 240),
                    (&mut copy.closing_heading, 80),
                    (&mut copy.closing_text, 240),
                ] {
                    *text = cut(text, max);
                }
                cut_all(&mut copy.services, 160);
                points(&mut copy.reasons, 4);
            }
            Copy::About(copy) => {
                copy.intro.tidy(label, business);
                copy.paragraphs.retain(|text| !text.trim().is_empty());
                copy.paragraphs.truncate(6);
                cut_all(&mut copy.paragraphs, 900);
                points(&mut copy.values, 4);
                if copy.paragraphs.is_empty() {
                    return Err(empty("paragraphs"));
                }
            }
            Copy::Services(copy) => {
                copy.intro.tidy(label, business);
                cut_all(&mut copy.descriptions, 360);
            }
            Copy::Gallery(copy) => {
                copy.intro.tidy(label, business);
                cut_all(&mut copy.captions, 120);
            }
            Copy::Testimonials(copy) => copy.intro.tidy(label, business),
            Copy::Faq(copy) => {
                copy.intro.tidy(label, business);
                copy.questions
                    .retain(|q| !q.question.trim().is_empty() && !q.answer.trim().is_empty());
                copy.questions.truncate(12);
                for q in &mut copy.questions {
                    q.question = cut(&q.question, 160);
                    q.answer = cut(&q.answer, 800);
                }
                if copy.questions.is_empty() {
                    return Err(empty("questions"));
                }
            }
            Copy::Pricing(copy) => {
                copy.intro.tidy(label, business);
                points(&mut copy.steps, 5);
                if copy.steps.is_empty() {
                    return Err(empty("steps"));
                }
            }
            Copy::Contact(copy) => copy.intro.tidy(label, business),
            Copy::Custom(copy) => {
                copy.intro.tidy(label, business);
                points(&mut copy.sections, 8);
                if copy.sections.is_empty() {
                    return Err(empty("sections"));
                }
            }
        }
        Ok(self)
    }

    /// Metadata and header of the page.
    pub fn intro(&self) -> &Intro {
        match self {
            Copy::Home(copy) => &copy.intro,
            Copy::About(copy) => &copy.intro,
            Copy::Services(copy) => &copy.intro,
            Copy::Gallery(copy) => &copy.intro,
            Copy::Testimonials(copy) => &copy.intro,
            Copy::Faq(copy) => &copy.intro,
            Copy::Pricing(copy) => &copy.intro,
            Copy::Contact(copy) => &copy.intro,
            Copy::Custom(copy) => &copy.intro,
        }
    }

    /// Kind of the page.
    pub fn kind(&self) -> Kind {
        match self {
            Copy::Home(_) => Kind::Home,
            Copy::About(_) => Kind::About,
            Copy::Services(_) => Kind::Services,
            Copy::Gallery(_) => Kind::Gallery,
            Copy::Testimonials(_) => Kind::Testimonials,
            Copy::Faq(_) => Kind::Faq,
            Copy::Pricing(_) => Kind::Pricing,
            Copy::Contact(_) => Kind::Contact,
            Copy::Custom(_) => Kind::Custom,
        }
    }
}

impl Intro {
    fn tidy(&mut self, label: &str, business: &str) {
        self.headline = cut(&self.headline, 90);
        if self.headline.is_empty() {
            self.headline = label.to_owned();
        }
        self.title = cut(&self.title, 70);
        if self.title.is_empty() {
            self.title = self.headline.clone();
        }
        self.lead = cut(&self.lead, 320);
        self.description = cut(&self.description, 180);
        if self.description.is_empty() {
            self.description = if self.lead.is_empty() {
                format!("{label} · {business}")
            } else {
                cut(&self.lead, 180)
            };
        }
    }
}

/// Collapses white space and control characters to single spaces, and truncates the text at a word
/// boundary to at most `max` characters plus an ellipsis.
pub fn cut(text: &str, max: usize) -> String {
    let line =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    let Some((end, _)) = line.char_indices().nth(max) else { return line };
    let short = &line[..end];
    let at = short.rfind(' ').filter(|at| *at > end / 2).unwrap_or(end);
    format!("{}…", short[..at].trim_end_matches([' ', ',', ';', ':', '.']))
}

fn cut_all(texts: &mut [String], max: usize) {
    for text in texts {
        *text = cut(text, max);
    }
}

fn points(points: &mut Vec<Point>, max: usize) {
    for point in points.iter_mut() {
        point.title = cut(&point.title, 80);
        point.text = cut(&point.text, 600);
    }
    points.retain(|point| !point.title.is_empty() && !point.text.is_empty());
    points.truncate(max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_truncated_at_a_word_boundary() {
        assert_eq!(cut("  one\n two\u{7}three  ", 40), "one two three");
        assert_eq!(cut("açaí na tigela, com banana", 16), "açaí na tigela…");
        assert_eq!(cut(&"x".repeat(50), 10), format!("{}…", "x".repeat(10)));
    }

    #[test]
    fn e7_an_empty_page_is_an_error_that_names_the_field() {
        let copy = Copy::Faq(Faq {
            intro: Intro::default(),
            questions: vec![Question { question: " ".to_owned(), answer: "yes".to_owned() }],
        });
        let error = copy.tidy("FAQ", "Joe's").unwrap_err();
        assert_eq!(error, EmptyCopy { page: "FAQ".to_owned(), field: "questions" });
    }

    #[test]
    fn an_empty_intro_falls_back_to_the_page_name() {
        let copy =
            Copy::Contact(Contact { intro: Intro::default() }).tidy("Contact", "Joe's").unwrap();
        let intro = copy.intro();
        assert_eq!((intro.headline.as_str(), intro.title.as_str()), ("Contact", "Contact"));
        assert_eq!(intro.description, "Contact · Joe's");
    }
}
