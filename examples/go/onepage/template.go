// Package onepage is the template.
//
//   - template.go: the manifest, the AI call, and what happens when something is missing
//   - site.go, page.html: the files of the site. text.go: texts of orders and models
//   - failure.go: failures and panics with their places
package onepage

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/types"

	ai "example.com/onepage/wit_bindgen/sitewright_template_ai_sync"
	aitypes "example.com/onepage/wit_bindgen/sitewright_template_ai_types"
	"example.com/onepage/wit_bindgen/sitewright_template_diagnostics"
	"example.com/onepage/wit_bindgen/sitewright_template_site"
	types "example.com/onepage/wit_bindgen/sitewright_template_types"
)

const purpose = "copywriting"

//go:embed order.schema.json
var orderSchema string

//go:embed reply.schema.json
var replySchema string

// The languages of the template. The first one is for an order in another language.
var languages = []words{
	{"en", "English", "Services", "Contact", "Call us", "Write to us"},
	{"pt-BR", "Brazilian Portuguese", "Serviços", "Contato", "Ligue", "Escreva"},
}

// Manifest describes the template.
func Manifest() types.Manifest {
	manifest := types.Manifest{
		Name:           "example-go",
		Version:        "0.1.0",
		Summary:        "One page for a local business. Written in Go.",
		OrderSchema:    orderSchema,
		FallbackLocale: wit.Some(languages[0].locale),
		AiPurposes: []types.AiPurpose{
			{Name: purpose, Description: "the texts of the page: one call"},
		},
	}
	for _, words := range languages {
		manifest.Locales = append(manifest.Locales, words.locale)
	}
	return manifest
}

// Generate makes the site of an order. It returns nil if the site is complete.
func Generate(document string) *types.Failure {
	// The host has held the order against the schema. Fields that are null stay empty.
	var order struct {
		Locale      string   `json:"locale"`
		Name        string   `json:"business_name"`
		Email       string   `json:"business_email"`
		Phone       string   `json:"business_phone"`
		Whatsapp    string   `json:"whatsapp_phone"`
		Address     string   `json:"business_address"`
		City        string   `json:"primary_city"`
		Description string   `json:"site_description"`
		Services    []string `json:"services"`
		SiteURL     string   `json:"site_url"`
	}
	if err := json.Unmarshal([]byte(document), &order); err != nil {
		return fail("order", "the order cannot be read", "", err)
	}
	business := business{
		Locale:      clean(order.Locale),
		Name:        clean(order.Name),
		Email:       clean(order.Email),
		Phone:       clean(order.Phone),
		Whatsapp:    clean(order.Whatsapp),
		Address:     clean(order.Address),
		City:        clean(order.City),
		Description: clean(order.Description),
	}
	for _, service := range order.Services {
		if service = clean(service); service != "" {
			business.Services = append(business.Services, service)
		}
	}
	words := wordsFor(business.Locale)
	if len(business.Services) == 0 {
		warn("no-services", "the order has no services, so the page lists none")
	}

	sitewright_template_diagnostics.Progress("copy", 0, 2)
	copy, failure := writeCopy(business, words)
	if failure != nil {
		return failure
	}

	sitewright_template_diagnostics.Progress("page", 1, 2)
	address := siteAddress(clean(order.SiteURL))
	page, err := renderPage(view{
		Business: business,
		Copy:     copy,
		Words:    words,
		Title:    title(business, copy),
		Links:    links(business, words),
		Address:  template.URL(address),
	})
	if err != nil {
		return fail("page", "the page cannot be written", "", err)
	}
	files := []struct{ path, content string }{
		{"index.html", page},
		{"style.css", style},
		{"favicon.svg", icon},
		{"robots.txt", renderRobots(address)},
	}
	if address != "" {
		files = append(files, struct{ path, content string }{"sitemap.xml", renderSitemap(address)})
	}
	for _, file := range files {
		written := sitewright_template_site.Write(file.path, []byte(file.content))
		if written.IsErr() {
			return fail("site", written.Err().Message, "", nil)
		}
	}
	return nil
}

// wordsFor returns the words for a language or one of its varieties: `pt-PT` gets those of `pt-BR`.
func wordsFor(locale string) words {
	wanted, _, _ := strings.Cut(locale, "-")
	for _, words := range languages {
		if language, _, _ := strings.Cut(words.locale, "-"); language == wanted {
			return words
		}
	}
	return languages[0]
}

// warn adds a line to the order's report: the site is worse for it.
func warn(code, message string) {
	sitewright_template_diagnostics.Report(sitewright_template_diagnostics.Diagnostic{
		Severity: sitewright_template_diagnostics.SeverityWarning,
		Code:     code,
		Message:  message,
	})
}

// writeCopy asks for the copy.
func writeCopy(business business, words words) (copyText, *types.Failure) {
	// What the order says is untrusted: the host delimits the parts of `data`, so that a model does
	// not follow them.
	user := []aitypes.Part{aitypes.MakePartText(
		"Write the beginning of a one-page site, only in " + words.language + ".",
	)}
	data := func(name, text string) {
		if text != "" {
			user = append(user, aitypes.MakePartData(aitypes.Data{Name: name, Text: text}))
		}
	}
	data("name", business.Name)
	data("about the business", business.Description)
	data("services", strings.Join(business.Services, "\n"))
	data("city", business.City)

	reply := ai.Complete(ai.Request{
		Purpose: purpose,
		Messages: []aitypes.Message{
			{Role: aitypes.RoleSystem, Content: []aitypes.Part{aitypes.MakePartText(
				"You write copy for local businesses. Use only facts of the data; never invent " +
					"prices, years, awards or names. Plain text: no HTML, no Markdown, no " +
					"placeholders.",
			)}},
			{Role: aitypes.RoleUser, Content: user},
		},
		Format: aitypes.MakeFormatJsonSchema(replySchema),
	})
	if reply.IsErr() {
		return copyText{}, fail("copy", reply.Err().Message, reply.Err().CallId, nil)
	}
	completion := reply.Ok()

	var copy copyText
	if err := json.Unmarshal([]byte(completion.Content), &copy); err != nil {
		return copy, fail("copy", "the reply cannot be read", completion.CallId, err)
	}
	copy = copyText{clean(copy.Headline), clean(copy.Lead), clean(copy.Description)}
	// The host has held the reply against the schema, which cannot say that a text is not blank.
	if copy.Headline == "" || copy.Lead == "" || copy.Description == "" {
		message := "the model left out a text of the page"
		return copy, fail("empty-copy", message, completion.CallId, nil)
	}
	return copy, nil
}
