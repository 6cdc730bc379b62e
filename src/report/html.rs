//! The report as HTML: the page and the mail, from templates that escape whatever they show.

use std::sync::OnceLock;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::view::View;
use super::words::Words;
use crate::delivery::Branding;

/// The templates; their names end with `.html`, by which everything in them is escaped.
fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.add_filter("words", |id: &str, language: &str| Words::of(language.parse().unwrap_or_default()).text(id));
        for (name, source) in [("page.html", include_str!("templates/page.html")), ("mail.html", include_str!("templates/mail.html"))] {
            environment.add_template(name, source).expect("the templates are compiled in, and tests render each");
        }
        environment
    })
}

fn render(name: &str, context: Value) -> String {
    let template = templates().get_template(name).expect("the templates are compiled in, and tests render each");
    template.render(context).expect("a view is plain data, and tests render each template in each language")
}

/// The page: complete in itself, for screen and paper.
pub fn page(view: &View, timeline: Option<String>) -> String {
    let picture = timeline.map(Value::from_safe_string);
    render("page.html", context! { view => Value::from(Serde(view)), picture })
}

/// The HTML part of the mail: one column, tables and inline styles only, nothing to be fetched.
pub fn mail(view: &View, branding: &Branding) -> String {
    let brand = context! { name => &branding.name, colour => &branding.colour, footer => &branding.footer };
    render("mail.html", context! { view => Value::from(Serde(view)), brand })
}
