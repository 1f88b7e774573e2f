//! Parsing of the articles of a blog.

use std::collections::HashSet;

use serde_json::Value;

use super::content::{Entry, entries};
use super::fields::{Fields, as_flag};
use super::{MAX_NAME, MAX_TEXT};
use crate::hours::fold_words;
use crate::{Post, check_id, date};

/// The lists of articles that forms and content systems send.
const LISTS: [&str; 4] = ["posts", "blog_posts", "articles", "news"];
/// States of an article that visitors must not see, as content systems name them.
const HIDDEN: [&str; 13] = [
    "draft",
    "pending",
    "private",
    "future",
    "scheduled",
    "trash",
    "archived",
    "hidden",
    "rascunho",
    "borrador",
    "brouillon",
    "entwurf",
    "bozza",
];
/// Maximum length of a slug, in bytes.
const MAX_SLUG: usize = 80;
/// Maximum length of one that is made of a title: it may get a number.
const MAX_MADE: usize = 60;

/// The articles of all lists, without drafts.
pub(super) fn posts(f: &mut Fields<'_>) -> Vec<Post> {
    let mut posts = Vec::new();
    let mut taken = HashSet::new();
    for name in LISTS {
        // A text of that name is said about the business, and is kept as it is.
        if name == "news" && !f.is_list(name) {
            continue;
        }
        let (list, Some(value)) = f.first(&[name]) else { continue };
        for entry in entries(f, &list, value) {
            let (at, title, text) = match entry {
                Entry::Object(at, fields) => {
                    let read = f.below(&at, fields, |f| post(f, &at));
                    posts.extend(read.map(|post| with_slug(f, &at, post, &mut taken)));
                    continue;
                }
                Entry::Pair(at, title, value) => {
                    let title = f.as_text(&at, &Value::from(title), MAX_NAME);
                    let text = f.as_text(&at, value, MAX_TEXT);
                    (at, title, text)
                }
                Entry::Text(text) => (list.clone(), None, Some(text)),
            };
            let read = whole(f, &at, title, text);
            posts.extend(read.map(|post| with_slug(f, &at, post, &mut taken)));
        }
    }
    // Of several lists. A normalized order has one, which is read with the same limit.
    let at = f.place("posts");
    f.at_most(&at, &mut posts);
    posts
}

/// An article with title and text alone; `None`, with a warning, if one of them is missing.
fn whole(
    f: &mut Fields<'_>,
    at: &str,
    title: Option<String>,
    text: Option<String>,
) -> Option<Post> {
    let missing = if title.is_none() { "title" } else { "text" };
    let (Some(title), Some(text)) = (title, text) else {
        f.dropped(at, format!("has no `{missing}`; left out"));
        return None;
    };
    Some(Post {
        title,
        slug: String::new(),
        date: None,
        summary: None,
        text,
        image_url: None,
        image_alt: None,
    })
}

/// The article at `at`; its slug is as it was sent.
fn post(f: &mut Fields<'_>, at: &str) -> Option<Post> {
    let title = f.text(&["title", "headline", "name"], MAX_NAME);
    let slug = f.text(&["slug"], MAX_NAME);
    let summary = f.text(&["summary", "excerpt", "teaser", "description"], MAX_TEXT);
    let text = f.text(&["text", "content", "body", "html", "article"], MAX_TEXT);
    let (image_url, image_alt) = image(f);
    let status = f.text(&["status", "state"], MAX_NAME);
    let is_draft = f.flag(&["draft", "is_draft"]);
    // A flag, or the day.
    let (published_at, published) = f.first(&["published"]);
    let flag = published.and_then(as_flag);
    let dates = ["date", "published_at", "published_on", "publish_date", "publication_date"];
    let (date_at, date) = match f.first(&dates) {
        (at, Some(date)) => (at, Some(date)),
        _ => (published_at, published.filter(|_| flag.is_none())),
    };
    let date = date.and_then(|value| f.as_text(&date_at, value, MAX_NAME));
    let date = date.and_then(|date| f.keep(&date_at, date::day(&date)));
    let is_hidden = status.is_some_and(|status| HIDDEN.contains(&fold_words(&status).as_str()));
    if is_hidden || is_draft || flag == Some(false) {
        f.dropped(at, "is not published yet, as its status says; left out");
        return None;
    }
    // An article of one paragraph, which some systems have as the summary alone.
    let (summary, text) = if text.is_none() { (None, summary) } else { (summary, text) };
    let post = whole(f, at, title, text)?;
    Some(Post { slug: slug.unwrap_or_default(), date, summary, image_url, image_alt, ..post })
}

/// The address of the picture and what it shows. It is an address, or an object as in `photos`.
fn image(f: &mut Fields<'_>) -> (Option<String>, Option<String>) {
    let alt = f.text(&["image_alt", "alt", "image_caption"], MAX_NAME);
    let names = ["image_url", "image", "featured_image", "cover", "photo", "thumbnail"];
    let (url, inner) = match f.first(&names) {
        (at, Some(Value::Object(fields))) => f.below(&at, fields, |f| {
            let url = f.link(&["url", "src", "href"]);
            (url, f.text(&["alt", "title", "caption"], MAX_NAME))
        }),
        (at, Some(value)) => (f.as_link(&at, value), None),
        (_, None) => (None, None),
    };
    let alt = alt.or(inner).filter(|_| url.is_some());
    (url, alt)
}

/// The article with a slug that no other one has.
fn with_slug(f: &mut Fields<'_>, at: &str, post: Post, taken: &mut HashSet<String>) -> Post {
    let number = taken.len() + 1;
    let sent = Some(post.slug.as_str()).filter(|slug| !slug.is_empty());
    let base = match sent {
        Some(sent) if is_slug(sent) => sent.to_owned(),
        sent => {
            let names = [sent, Some(post.title.as_str())].into_iter().flatten();
            let made = names.map(made_slug).find(|slug| is_slug(slug));
            made.unwrap_or_else(|| format!("post-{number}"))
        }
    };
    let mut slug = base.clone();
    let mut next = number;
    while !taken.insert(slug.clone()) {
        let cut = base.get(..MAX_MADE).unwrap_or(&base).trim_end_matches('-');
        slug = format!("{cut}-{next}");
        next += 1;
    }
    if let Some(sent) = sent.filter(|sent| *sent != slug) {
        let sent = crate::problem::truncated(sent);
        let at = crate::child(at, "slug");
        f.findings.note(&at, format!("`{sent}` cannot be the address of the post: it is `{slug}`"));
    }
    Post { slug, ..post }
}

/// Whether a text can be the name of a folder of the site.
fn is_slug(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    // The rules of folders of orders are stricter than those of sites, but for the length.
    let start = text.get(..text.len().min(64)).unwrap_or_default().trim_end_matches('-');
    text.len() <= MAX_SLUG && text.split('-').all(is_part) && check_id(start).is_ok()
}

/// The letters and digits of a text, without accents, joined by `-`. Empty for a text in letters
/// that are not Latin.
fn made_slug(text: &str) -> String {
    let mut slug = String::new();
    for c in fold_words(text).chars() {
        let next = match c {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            '\'' | '’' => continue,
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => {
                slug.push(c);
                continue;
            }
            _ if slug.is_empty() || slug.ends_with('-') => continue,
            _ => "-",
        };
        slug.push_str(next);
    }
    let kept = slug.get(..MAX_MADE).unwrap_or(&slug);
    kept.trim_end_matches('-').to_owned()
}
