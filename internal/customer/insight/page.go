package insight

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed page.html
var page string

// reasons say in words why identifiers did not join.
var reasons = map[string]string{
	"accounts":         "the value bears more accounts than its type may",
	"per_shop":         "one shop knows several persons by it",
	"exclusive":        "the customer would have two ids of which a person has one",
	"different":        "people decided that they are two",
	"largest_customer": "the customer would be larger than it may",
	"model":            "they are alike, and not enough to be joined",
	apart:              "it was seen too far apart in time, as a phone that changed hands",
	unknown:            "it bears too many customers to be looked at one by one",
}

// Words say a reason of a Conflict to people.
func Words(reason string) string {
	if text, ok := reasons[reason]; ok {
		return text
	}
	return reason
}

// pages makes the page; it draws bars of 300 pixels at most.
var pages = template.Must(template.New("page").Funcs(template.FuncMap{
	"words": Words,
	"bar": func(n, of int) float64 {
		return float64(n) / float64(max(of, 1)) * 300
	},
	"percent": func(share float64) float64 { return 100 * share },
}).Parse(page))

// WritePage writes the report as one HTML file that needs nothing else, in the
// brand's time zone.
func (r *Report) WritePage(w io.Writer, brand string, zone *time.Location) error {
	largest := 0
	for _, s := range r.Sizes {
		largest = max(largest, s.Customers)
	}
	return pages.Execute(w, struct {
		*Report
		Brand, At string
		Largest   int
		Judged    []Judged
	}{r, brand, r.Taken.In(zone).Format("2006-01-02 15:04:05 MST"), largest, r.Judged()})
}

// Judged is how often people agreed with joins of a kind: the share that was
// right, and the bounds between which it lies with 95 %.
type Judged struct {
	By               string // "by identifiers"; "at all" where there is no model
	Share, Low, High float64
}

// Judged says it of all joins, or, where the rules use a model, apart of those
// by identifiers and of the model's; nothing of a kind that nobody judged.
func (r *Report) Judged() (out []Judged) {
	for _, kind := range []struct {
		by    string
		of    Decisions
		shown bool
	}{
		{"at all", r.Decisions, r.Model == nil},
		{"by identifiers", r.Decisions.OfIdentifiers(), r.Model != nil},
		{"by the model", r.Decisions.OfModel(), r.Model != nil},
	} {
		if share, low, high, ok := kind.of.Precision(); ok && kind.shown {
			out = append(out, Judged{kind.by, share, low, high})
		}
	}
	return out
}
