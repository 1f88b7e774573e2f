//! What a replay must get right: the order in which calls end, and texts of the customer in every
//! place there is.

use sitewright_sdk::prelude::*;

/// `count` AI calls at once; each says when it has ended and with what.
pub(crate) async fn race(count: u32) {
    let calls = (0..count).map(|number| async move {
        let reply = ai::ask("copywriting").user(format!("[[race]] call {number}")).text().await;
        progress(format!("call {number} ended"), number, count);
        match reply {
            Ok(text) => log::info(text),
            Err(error) => log::warn(error.message),
        }
    });
    join_all(calls).await;
}

/// Reports an error and goes on.
pub(crate) fn complain() {
    report(Diagnostic::info("fine", "nothing is wrong so far"));
    report(Diagnostic::error("wrong", "something is wrong"));
    progress("afterwards", 1, 1);
}

/// Says what the customer and a model wrote wherever a template can say something, and fails.
pub(crate) async fn quote(order: &Order, site: &Site) -> Result<()> {
    let (name, mail) = (&order.business_name, &order.business_email);
    let reply = ai::ask("copywriting").user(name).text().await;
    let said = match &reply {
        Ok(text) => text.clone(),
        Err(error) => error.message.clone(),
    };
    let slug = name.to_lowercase().replace(' ', "-");
    site.write(format!("{slug}.txt"), name)?;
    progress(name, 1, 2);
    log::info(format!("hello {name}, we write to {mail} and call {}", order.business_phone.dial()));
    eprintln!("{} {said}", name.to_uppercase());
    println!("{}", slug.replace('-', ""));
    let about = order.site_description.as_deref().unwrap_or_default();
    report(
        Diagnostic::warning("quoted", format!("{about} ({said})"))
            .cause(mail)
            .attribute("name", name),
    );
    Err(Error::new("quoted", format!("{name} said: {said}"))
        .cause(format!("<{mail}> {about}"))
        .attribute("who", name))
}
