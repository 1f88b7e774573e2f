//! Runs that are hard to replay: the sequence in which concurrent calls complete, and customer text
//! in every output of a template.

use sitewright_sdk::prelude::*;

/// Makes `count` concurrent AI calls; each logs its outcome when it completes.
pub(crate) async fn concurrent_calls(count: u32) {
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

/// Reports an error diagnostic and continues.
pub(crate) fn report_error() {
    report(Diagnostic::info("fine", "nothing is wrong so far"));
    report(Diagnostic::error("wrong", "something is wrong"));
    progress("afterwards", 1, 1);
}

/// Writes text of the customer and the model to every output of a template, then fails.
pub(crate) async fn echo_order(order: &Order, site: &Site) -> Result<()> {
    let name = &order.business_name;
    let mail = order.business_email.as_deref().unwrap_or_default();
    let dial = order.business_phone.as_ref().map(|phone| phone.dial()).unwrap_or_default();
    let reply = ai::ask("copywriting").user(name).text().await;
    let text = match &reply {
        Ok(text) => text.clone(),
        Err(error) => error.message.clone(),
    };
    let slug = name.to_lowercase().replace(' ', "-");
    site.write(format!("{slug}.txt"), name)?;
    progress(name, 1, 2);
    log::info(format!("hello {name}, we write to {mail} and call {dial}"));
    eprintln!("{} {text}", name.to_uppercase());
    println!("{}", slug.replace('-', ""));
    let about = order.site_description.as_deref().unwrap_or_default();
    report(
        Diagnostic::warning("quoted", format!("{about} ({text})"))
            .cause(mail)
            .attribute("name", name),
    );
    Err(Error::new("quoted", format!("{name} said: {text}"))
        .cause(format!("<{mail}> {about}"))
        .attribute("who", name))
}
