// A template in Go: one AI call, one page.
//
//	order ──> one AI call ──> copy ──> the page and the files beside it
//
// The template is in the folder onepage. What the host calls is in
// export_sitewright_template_generator_sync, as the bindings name it. They are made from the
// contract into the folder wit_bindgen; see README.md.
package main

// The exports of the component are in this package.
import _ "example.com/onepage/wit_bindgen/wit_exports"

// The host calls the exports and never `main`, which a program in Go must have.
func main() {}
