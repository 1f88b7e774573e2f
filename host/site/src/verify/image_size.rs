//! How pages show images: whether a page jumps when one is loaded, and whether the file of an image
//! fits its place.
//!
//! As for contrast, only what style sheets make certain is judged.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use scraper::ElementRef;

use super::cascade::{Cascade, Declared};
use super::images::{ImageFile, Shown, pixels};
use super::links::candidates;
use super::page::NodeId;
use super::problem::{Problems, Rule, shown};
use super::reference::{Facts, path_in_site};
use super::style::Property;
use super::work::Work;
use crate::path::SitePath;
use sitewright_model::message;

/// Maximum bytes of an image that a page shows. 1 MiB: 5 seconds at the 1.6 Mbit/s that Lighthouse
/// takes for a phone.
const MAX_BYTES: u64 = 1 << 20;
/// Images of at most this size are small enough, however many pixels they have. 32 KiB.
const SMALL: u64 = 32 << 10;
/// Maximum pixels of an image for each CSS pixel of its place. Phones have up to 3.
const MAX_SCALE: f64 = 4.0;
/// Maximum ratio of two shapes, or widths, that count as the same: visitors see a quarter more.
const MAX_RATIO: f64 = 1.25;
/// Maximum number of addresses of images of a page that are looked at.
const MAX_IMAGES: usize = 2_000;
/// Maximum bytes of such an address.
const MAX_ADDRESS: usize = 2 << 10;
/// Maximum number of elements of a `<picture>` that are looked at.
const MAX_SOURCES: usize = 32;

/// What the author says of a file beside its address.
#[derive(Debug, Clone, Copy)]
enum Descriptor {
    /// Pixels of the file in each of the page.
    Density(f64),
    /// Pixels of the file, from left to right.
    Width(f64),
}

impl Descriptor {
    /// As written in a `srcset`. `None` if browsers ignore it.
    fn parse(text: &str) -> Option<Self> {
        // A height may follow.
        let text = text.split_ascii_whitespace().next().unwrap_or("1x");
        let number =
            |unit: char| text.strip_suffix(unit).and_then(pixels).filter(|number| *number > 0.0);
        let density = number('x').map(Descriptor::Density);
        density.or_else(|| number('w').map(Descriptor::Width))
    }
}

/// An address of an image in a page, with the place that the page has for it.
#[derive(Debug)]
pub(super) struct ShownImage {
    address: String,
    line: Option<u64>,
    /// Whether the place is not known before the image is loaded.
    jumps: bool,
    /// The width and height of attributes, in CSS pixels, if nothing else decides the shape.
    shape: Option<(f64, f64)>,
    /// The width of the place in CSS pixels, if it is certain.
    width: Option<f64>,
    descriptor: Descriptor,
}

/// The attributes `width` and `height`, in CSS pixels.
#[derive(Debug, Clone, Copy)]
struct Attributes {
    width: Option<f64>,
    height: Option<f64>,
}

impl Attributes {
    fn of(element: &ElementRef<'_>) -> Self {
        let read = |name| element.attr(name).and_then(dimension);
        Attributes { width: read("width"), height: read("height") }
    }

    fn both(self) -> Option<(f64, f64)> {
        self.width.zip(self.height)
    }
}

/// A dimension as the HTML standard reads it: what follows the number is ignored. `None` for
/// percentages, which say nothing of the shape.
fn dimension(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    pixels(number).filter(|_| !rest.starts_with('%'))
}

/// Whether style sheets decide, or may decide, a property.
fn sets(declared: &Declared, property: &Property) -> bool {
    declared.get(property).is_some_and(|winner| {
        let value = winner.value.as_deref();
        !matches!(value, Some("auto" | "initial" | "unset" | "revert" | "revert-layer"))
    })
}

/// Whether an image with these declarations has its place before it is loaded, or none at all.
fn is_placed(declared: &Declared) -> bool {
    let is = |property: &Property, values: &[&str]| {
        declared.get(property).is_some_and(|winner| {
            winner.value.as_deref().is_none_or(|value| values.contains(&value))
        })
    };
    sets(declared, &Property::Height)
        || sets(declared, &Property::Ratio)
        || is(&Property::Position, &["absolute", "fixed"])
        || is(&Property::Display, &["none"])
}

/// The images of a page.
#[derive(Debug, Default)]
pub(super) struct PageImages {
    images: Vec<ShownImage>,
    /// The `<picture>` elements whose sources were read.
    pictures: HashSet<NodeId>,
}

impl PageImages {
    /// Adds the addresses of an `<img>`, and of the `<source>` elements of its `<picture>`.
    pub(super) fn add(
        &mut self,
        element: &ElementRef<'_>,
        declared: &Declared,
        line: Option<u64>,
        cascade: &Cascade<'_>,
    ) {
        if element.attr("hidden").is_some() {
            return;
        }
        let own = Attributes::of(element);
        let sources = self.sources(element, cascade);
        let sizes = sources.iter().map(Attributes::of);
        let are_sized =
            !sources.is_empty() && sizes.map(Attributes::both).all(|both| both.is_some());
        let is_shaped = sets(declared, &Property::Height)
            || sets(declared, &Property::Ratio)
            || declared.has(&Property::Fit);
        let styled = declared.get(&Property::Width).map(|winner| winner.value.as_deref());
        let place = |attributes: Attributes| Place {
            line,
            shape: attributes.both().filter(|_| !is_shaped),
            width: match styled {
                None => attributes.width,
                Some(value) => value.filter(|value| value.ends_with("px")).and_then(pixels),
            },
        };
        let jumps = own.both().is_none() && !are_sized && !is_placed(declared);
        let srcset = element.attr("srcset").unwrap_or_default();
        let of_own = place(own);
        if let Some(address) = element.attr("src") {
            // Only old browsers show it beside a `srcset`.
            let width = of_own.width.filter(|_| srcset.trim().is_empty());
            self.push(address, jumps, &Place { width, ..of_own }, Descriptor::Density(1.0));
        }
        self.srcset(srcset, &of_own, cascade);
        for source in &sources {
            let attributes = Attributes::of(source);
            let attributes = if attributes.both().is_some() { attributes } else { own };
            let srcset = source.attr("srcset").unwrap_or_default();
            self.srcset(srcset, &place(attributes), cascade);
        }
    }

    /// The `<source>` elements of the `<picture>` around an `<img>`, if no other one was first.
    fn sources<'a>(
        &mut self,
        element: &ElementRef<'a>,
        cascade: &Cascade<'_>,
    ) -> Vec<ElementRef<'a>> {
        let around = element.parent().and_then(ElementRef::wrap);
        let Some(picture) = around.filter(|around| around.value().name() == "picture") else {
            return Vec::new();
        };
        if !self.pictures.insert(picture.id()) {
            return Vec::new();
        }
        cascade.spend(MAX_SOURCES);
        let inside = picture.child_elements().take(MAX_SOURCES);
        inside.filter(|inner| inner.value().name() == "source").collect()
    }

    fn srcset(&mut self, srcset: &str, place: &Place, cascade: &Cascade<'_>) {
        cascade.spend(srcset.len());
        for (address, descriptor) in candidates(srcset) {
            if let Some(descriptor) = Descriptor::parse(descriptor) {
                self.push(address, false, place, descriptor);
            }
        }
    }

    fn push(&mut self, address: &str, jumps: bool, place: &Place, descriptor: Descriptor) {
        let address = address.trim();
        let is_inline = address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        if is_inline
            || address.is_empty()
            || address.len() > MAX_ADDRESS
            || self.images.len() >= MAX_IMAGES
        {
            return;
        }
        let Place { line, shape, width } = *place;
        let address = address.to_owned();
        self.images.push(ShownImage { address, line, jumps, shape, width, descriptor });
    }

    /// All that were added.
    pub(super) fn into_images(self) -> Vec<ShownImage> {
        self.images
    }
}

/// The place of an image, as in [`ShownImage`].
#[derive(Debug, Clone, Copy)]
struct Place {
    line: Option<u64>,
    shape: Option<(f64, f64)>,
    width: Option<f64>,
}

/// How far two numbers are from each other; 1 if they are the same.
fn distance(one: f64, other: f64) -> f64 {
    if one > other { one / other } else { other / one }
}

/// Judges all images of a site, as long as `work` is not exhausted. `shown` are the files that
/// pages and style sheets show.
pub(super) fn report(
    facts: &BTreeMap<SitePath, Facts>,
    shown: &BTreeSet<&SitePath>,
    work: &Work,
    problems: &mut Problems,
) {
    let file_of = |path: &SitePath| facts.get(path).and_then(|facts| facts.image.as_ref());
    for path in shown {
        let Some(file) = file_of(path).filter(|file| file.bytes() > MAX_BYTES) else { continue };
        let message = message!(
            "the image has {} bytes, more than the {MAX_BYTES} that phones load quickly; write it \
             smaller, or as WebP or AVIF",
            file.bytes()
        );
        problems.add(path, Rule::ImageSize, None, None, message);
    }
    for (page, of_page) in facts {
        for image in &of_page.images {
            work.spend(4 * (image.address.len() + page.as_str().len()));
            if work.is_exhausted() {
                return;
            }
            let path = path_in_site(page, &image.address);
            let path = path.and_then(|path| SitePath::parse(&path, path.len()).ok());
            image.check(page, path.as_ref().and_then(file_of), problems);
        }
    }
}

impl ShownImage {
    fn check(&self, page: &SitePath, file: Option<&ImageFile>, problems: &mut Problems) {
        let mut add = |message: message::Message| {
            problems.add(page, Rule::ImageSize, self.line, Some(&self.address), message);
        };
        let size = file.and_then(ImageFile::size);
        if self.jumps {
            let known = size.filter(|_| file.is_some_and(|file| !file.may_be_turned()));
            let address = shown(&self.address);
            add(match known {
                Some(size) => message!(
                    "the image `{address}` has no `width` and `height`, so the page jumps when it \
                     is loaded; write those of the file, {}",
                    Shown(size)
                ),
                None => message!(
                    "the image `{address}` has no `width` and `height`, so the page jumps when it \
                     is loaded; write those of the file"
                ),
            });
        }
        let (Some(file), Some(size)) = (file, size) else { return };
        self.check_shape(file, size, &mut add);
        if !file.is_drawing() {
            self.check_width(file, size, &mut add);
        }
    }

    /// Reports attributes of another shape than the file's.
    fn check_shape(
        &self,
        file: &ImageFile,
        (width, height): (f64, f64),
        add: &mut impl FnMut(message::Message),
    ) {
        let Some((given_width, given_height)) =
            self.shape.filter(|(width, height)| *width > 0.0 && *height > 0.0)
        else {
            return;
        };
        let given = given_width / given_height;
        let fits = |shape: f64| distance(given, shape) <= MAX_RATIO;
        if fits(width / height) || (file.may_be_turned() && fits(height / width)) {
            return;
        }
        add(message!(
            "the image `{}` has a place of {} pixels, but the file is {}: it is distorted, or the \
             page jumps; write `width` and `height` in the shape of the file, or cut it with \
             `object-fit`",
            shown(&self.address),
            Shown((given_width, given_height)),
            Shown((width, height))
        ));
    }

    /// Reports a file that is much wider than its place, or not as wide as a `srcset` says.
    fn check_width(
        &self,
        file: &ImageFile,
        (width, height): (f64, f64),
        add: &mut impl FnMut(message::Message),
    ) {
        match self.descriptor {
            Descriptor::Width(said) => {
                let fits = |width: f64| distance(said, width) <= MAX_RATIO;
                if fits(width) || (file.may_be_turned() && fits(height)) {
                    return;
                }
                add(message!(
                    "the `srcset` says that `{}` is {said} pixels wide, but the file has {width}, \
                     so browsers choose the wrong one; write `{width}w`",
                    shown(&self.address)
                ));
            }
            Descriptor::Density(density) => {
                let Some(place) = self.width.filter(|width| *width > 0.0) else { return };
                let most = place * MAX_SCALE.max(2.0 * density);
                // A photo may be turned.
                let least = if file.may_be_turned() { width.min(height) } else { width };
                if least <= most || file.bytes() <= SMALL {
                    return;
                }
                add(message!(
                    "the image `{}` is {width} pixels wide and shown at {place}, so visitors load \
                     much more than they see; write a file of at most {most} pixels",
                    shown(&self.address)
                ));
            }
        }
    }
}
