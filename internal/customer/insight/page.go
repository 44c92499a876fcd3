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
	"values":           "an account bears more values of its type than one may, as who orders for others",
	"exclusive":        "two who share it have two ids of which a person has one",
	"different":        "people decided that two who share it are two",
	"largest_customer": "the customer would be larger than it may",
	"model":            "they are alike, and not enough, or not surely the buyers themselves, to be joined",
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

// Judged is how often people agreed with what OneID had said of pairs of a kind:
// the share that was right, and the bounds between which it lies with 95 %.
type Judged struct {
	Pairs            int
	Of               string // the kind: "pairs that are joined", and so on
	Sample           string // which of these were judged
	Share, Low, High float64
}

// The samples that figures are of.
const (
	atRandom  = "drawn at random (oneid identity review --joined)"
	complaint = "that people looked at, mostly since something seemed wrong: no random sample"
	queued    = "that people looked at, those worth most first (oneid identity review): no random sample"
)

// Judged says it of all joins and of what was kept apart; of the joins that were
// not drawn at random, where the rules use a model, apart of those by identifiers and
// of the model's; nothing of a kind that nobody judged.
func (r *Report) Judged() (out []Judged) {
	for _, kind := range []struct {
		of     Share
		what   string
		sample string
		shown  bool
	}{
		{r.Decisions.Sample, "pairs that are joined", atRandom, true},
		{r.Decisions.Joined(), "pairs that are joined", complaint, r.Model == nil},
		{r.Decisions.OfIdentifiers().Joined(), "pairs joined by identifiers", complaint, r.Model != nil},
		{r.Decisions.OfModel().Joined(), "pairs joined by the model", complaint, r.Model != nil},
		{r.Decisions.Apart(), "pairs kept apart", queued, true},
	} {
		if share, low, high, ok := kind.of.Of(); ok && kind.shown {
			out = append(out, Judged{kind.of.Right + kind.of.Wrong, kind.what, kind.sample, share, low, high})
		}
	}
	return out
}
