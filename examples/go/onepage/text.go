package onepage

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean returns a text of an order or a model as a page can show it: in one line, without control
// characters, which HTML does not allow even as references. Escaping is left to html/template.
func clean(text string) string {
	text = strings.Map(func(letter rune) rune {
		if unicode.IsControl(letter) {
			return ' '
		}
		return letter
	}, text)
	return strings.TrimSpace(text)
}

// shortened returns the text in at most `most` characters: cut after a word, with an ellipsis.
func shortened(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	cut := string([]rune(text)[:most-1])
	// A word that is longer than half of the text is cut.
	if space := strings.LastIndexByte(cut, ' '); 2*space > len(cut) {
		cut = cut[:space]
	}
	return strings.TrimSpace(cut) + "…"
}

// digits returns the digits of a phone number.
func digits(phone string) string {
	return strings.Map(func(letter rune) rune {
		if letter >= '0' && letter <= '9' {
			return letter
		}
		return -1
	}, phone)
}
