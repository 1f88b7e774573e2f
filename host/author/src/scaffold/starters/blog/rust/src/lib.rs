//! @@name@@: a blog, with the articles of the order, or articles about its services.

mod head;

use std::collections::HashMap;

use sitewright_sdk::prelude::*;

/// The template: `manifest` describes it and its needs, `generate` makes the site of one order.
pub struct @@type@@;

/// Maximum number of articles that are written about services: each is one AI call.
const MAX_WRITTEN: usize = 3;

/// The reply about the home page. The comments of the fields are sent to the model in the schema.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sitewright_sdk::schemars")]
struct HomeCopy {
    /// At most eight words, without a full stop.
    #[schemars(length(min = 1, max = 120))]
    headline: String,
    /// Two or three sentences about the business, for its readers.
    #[schemars(length(min = 40, max = 1000))]
    about: String,
}

/// The reply with an article.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sitewright_sdk::schemars")]
struct ArticleCopy {
    /// At most ten words, without a full stop.
    #[schemars(length(min = 1, max = 120))]
    title: String,
    /// One sentence that says what the reader learns.
    #[schemars(length(min = 40, max = 300))]
    summary: String,
    /// The paragraphs of the article.
    #[schemars(length(min = 3, max = 6), inner(length(min = 80, max = 1200)))]
    paragraphs: Vec<String>,
}

/// The template's own words in a language: an entry of `assets/words.json`.
#[derive(Debug, Deserialize)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
struct Words {
    /// The direction in which the language is written: `ltr` or `rtl`.
    dir: String,
    /// Between the parts of a list.
    comma: String,
    posts: String,
    all_posts: String,
    services: String,
    photo: String,
}

/// What all pages have: `templates/base.html`.
struct Frame<'a> {
    order: &'a Order,
    own: &'a Words,
    title: String,
    description: String,
    /// The way to the root: relative addresses work wherever the site is served.
    root: &'a str,
}

/// The page `templates/home.html`. askama escapes inserted text.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "home.html")]
struct Home<'a> {
    frame: Frame<'a>,
    copy: &'a HomeCopy,
    posts: &'a [Post],
}

/// The page `templates/article.html`.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "article.html")]
struct Article<'a> {
    frame: Frame<'a>,
    post: &'a Post,
    paragraphs: Vec<&'a str>,
}

impl Template for @@type@@ {
    fn manifest() -> Manifest {
        let manifest = Manifest::new("@@name@@", env!("CARGO_PKG_VERSION"), "@@summary@@").purpose(
            "copywriting",
            "the text of the home page, and articles if the order has none",
        );
        let locales = ["en", "pt-BR", "es", "fr", "de", "it", "ar", "he", "ja"];
        locales.into_iter().fold(manifest, Manifest::locale)
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        progress("copy", 0, 1);
        let topics = if order.posts.is_empty() { order.services.as_slice() } else { &[] };
        if order.posts.is_empty() {
            // The site is made all the same; the operator sees what it lacks.
            report(Diagnostic::warning(
                "no-posts",
                "the order has no `posts`: the articles are about its services, undated",
            ));
        }
        let articles =
            topics.iter().take(MAX_WRITTEN).map(|service| write_article(&order, service));
        let (copy, written) = try_join!(write_home(&order), try_join_all(articles))?;
        let mut posts = order.posts.clone();
        // Those without a day come last, in the order of the customer.
        posts.sort_by(|one, other| other.date.cmp(&one.date));
        posts.extend((1..).zip(written).map(|(number, copy): (usize, ArticleCopy)| Post {
            title: copy.title,
            slug: number.to_string(),
            date: None,
            summary: Some(copy.summary),
            text: copy.paragraphs.join("\n"),
            image_url: None,
            image_alt: None,
        }));

        let own = words(&order)?;
        let frame =
            |title, description, root| Frame { order: &order, own: &own, title, description, root };
        let total = u32::try_from(posts.len() + 1).unwrap_or(0);
        for (done, post) in (0..).zip(&posts) {
            progress("pages", done, total);
            let title = format!("{} · {}", post.title, order.business_name);
            let description = head::description(post.summary.as_deref().unwrap_or(&post.text));
            let paragraphs = post.text.lines().filter(|line| !line.trim().is_empty()).collect();
            let page = Article { frame: frame(title, description, "../../"), post, paragraphs };
            site.write(
                format!("posts/{}/index.html", post.slug),
                askama::Template::render(&page)?,
            )?;
        }
        let title = order.business_name.clone();
        let frame = frame(title, head::description(&copy.about), "");
        let page = Home { frame, copy: &copy, posts: &posts };
        site.write("index.html", askama::Template::render(&page)?)?;
        site.write("assets/site.css", include_str!("../assets/site.css"))?;
        head::write_icon(&order, &site)
    }
}

/// The template's own words in the language of the order.
fn words(order: &Order) -> Result<Words> {
    let file = include_str!("../assets/words.json");
    let mut all: HashMap<String, Words> =
        serde_json::from_str(file).context("while reading assets/words.json")?;
    let found = all.remove(order.locale.language()).or_else(|| all.remove("en"));
    found.context("assets/words.json has no words in English")
}

/// What all questions have: the instructions, and who the business is.
fn question(order: &Order, user: String) -> ai::Ask {
    ai::ask("copywriting")
        .system(
            "You write for small businesses: plainly, and nothing that is not in the data. No \
             prices, numbers, dates, names or promises of your own.",
        )
        .user(user)
        .data("name", &order.business_name)
        .data("city", order.primary_city.as_deref().unwrap_or_default())
}

async fn write_home(order: &Order) -> Result<HomeCopy> {
    let user = format!(
        "page: home\nWrite the beginning of a blog, in the language of the locale {}.",
        order.locale
    );
    question(order, user)
        .data("services", &order.services.join("\n"))
        .data("about", order.site_description.as_deref().unwrap_or_default())
        .json()
        .await
        .context("while writing the home page")
}

async fn write_article(order: &Order, service: &str) -> Result<ArticleCopy> {
    let user = format!(
        "page: article\nWrite an article that helps customers to decide about the service, in the \
         language of the locale {}.",
        order.locale
    );
    let asked = question(order, user).data("service", service).json().await;
    asked.with_context(|| format!("while writing the article about {service:?}"))
}

sitewright_sdk::export!(@@type@@);
