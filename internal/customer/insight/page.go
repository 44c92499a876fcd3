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
	share, low, high, known := r.Decisions.Precision()
	return pages.Execute(w, struct {
		*Report
		Brand, At        string
		Largest          int
		Share, Low, High float64
		Known            bool
	}{r, brand, r.Taken.In(zone).Format("2006-01-02 15:04:05 MST"), largest, share, low, high, known})
}
