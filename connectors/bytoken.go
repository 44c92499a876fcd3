package connectors

import (
	"context"
	"encoding/json"
)

// ByToken makes the Page of a Listing for a list whose pages have no numbers:
// each names the token of the one behind it. ask asks for the page of a token,
// which is "" for the first one of a window; next is "" behind the last.
//
// A window is walked through forwards, for its tokens, and read backwards with
// them, as a numbered list is. That takes each page twice, and it is right
// whatever a token stands for: where a token is a place in the list, rows that
// move up are skipped by whoever reads forwards. The platform has to take a
// token a second time.
//
// What it returns is for one Listing, which asks for one window at a time.
func ByToken(ask func(ctx context.Context, w Window, token string) (rows []json.RawMessage, next string, err error)) func(context.Context, Window, int, bool) (Rows, error) {
	var tokens []string // of the pages of the present window, as far as they are known
	return func(ctx context.Context, w Window, number int, first bool) (Rows, error) {
		if first {
			tokens = []string{""}
		}
		if number > len(tokens) {
			return Rows{}, nil // a page before had more rows than were asked for, and names none behind it
		}
		rows, next, err := ask(ctx, w, tokens[number-1])
		if err != nil {
			return Rows{}, err
		}
		if next != "" && number == len(tokens) {
			tokens = append(tokens, next)
		}
		return Rows{Rows: rows, More: next != ""}, nil
	}
}
