package connectors

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckShop says what is wrong with the name of a shop. It stands in each of the
// shop's accounts (PLATFORM/SHOP/ID): two names that look alike are two shops, whose
// accounts never meet.
func CheckShop(name string) error {
	var fault string
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("the shop's name is empty")
	case strings.Contains(name, "/"):
		fault = "holds a slash"
	case name == "." || name == "..":
		fault = "is none"
	case !utf8.ValidString(name):
		fault = "is not UTF-8"
	case strings.TrimSpace(name) != name:
		fault = "begins or ends with a space"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		fault = "holds a sign that nobody sees"
	default:
		return nil
	}
	return fmt.Errorf("the shop's name %q %s", name, fault)
}
