package onepage

import (
	_ "embed"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

const longestTitle = 60

//go:embed style.css
var style string

//go:embed favicon.svg
var icon string

//go:embed page.html
var pageSource string

// html/template escapes each text for the place in the page where it is put.
var page = template.Must(template.New("page.html").Parse(pageSource))

// An address of a site: a host with a dot in it, and a path of plain characters.
var plainAddress = regexp.MustCompile(`^[A-Za-z0-9.:-]*\.[A-Za-z0-9.:-]*(/[A-Za-z0-9.:/_~-]*)?$`)

// A business is what the order says, cleaned; empty texts are absent.
type business struct {
	Locale, Name, Email, Phone, Whatsapp, Address, City, Description string
	Services                                                         []string
}

// A copyText is what the model wrote.
type copyText struct {
	Headline, Lead, Description string
}

// Words are the texts of the template itself in one language.
type words struct {
	locale, language               string
	Services, Contact, Call, Write string
}

// A link is a line of the section with the ways to reach the business.
type link struct {
	Label string
	// Absent if it cannot be called.
	Href template.URL
	Text string
}

// A view is what page.html shows.
type view struct {
	Business business
	Copy     copyText
	Words    words
	Title    string
	Links    []link
	// Absent if the order has no address of the site.
	Address template.URL
}

// siteAddress returns the address of the site with a `/` at its end, for canonical links; an empty
// text if `address` is none.
func siteAddress(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	if !plainAddress.MatchString(address) {
		return ""
	}
	return "https://" + strings.TrimSuffix(address, "/") + "/"
}

// title returns the name and the headline, if both fit; a long name is cut.
func title(business business, copy copyText) string {
	name := shortened(business.Name, longestTitle)
	both := name + " · " + copy.Headline
	if utf8.RuneCountInString(both) > longestTitle {
		return name
	}
	return both
}

func links(business business, words words) []link {
	var links []link
	if phone := business.Phone; phone != "" {
		href := "tel:" + digits(phone)
		if strings.HasPrefix(phone, "+") {
			href = "tel:+" + digits(phone)
		}
		links = append(links, link{words.Call, template.URL(href), phone})
	}
	if phone := business.Whatsapp; phone != "" {
		href := ""
		// An address at wa.me needs the number with its country.
		if strings.HasPrefix(phone, "+") {
			href = "https://wa.me/" + digits(phone)
		}
		links = append(links, link{"WhatsApp", template.URL(href), phone})
	}
	if name, host, is := strings.Cut(business.Email, "@"); is {
		href := "mailto:" + url.PathEscape(name) + "@" + url.PathEscape(host)
		links = append(links, link{words.Write, template.URL(href), business.Email})
	}
	return links
}

func renderPage(view view) (string, error) {
	var out strings.Builder
	err := page.Execute(&out, view)
	return out.String(), err
}

// renderSitemap needs an address of siteAddress, which has nothing to escape.
func renderSitemap(address string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
  <url><loc>` + address + `</loc></url>
</urlset>
`
}

func renderRobots(address string) string {
	robots := "User-agent: *\nAllow: /\n"
	if address != "" {
		robots += "\nSitemap: " + address + "sitemap.xml\n"
	}
	return robots
}
