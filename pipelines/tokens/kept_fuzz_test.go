package tokens

import (
	"encoding/base64"
	"errors"
	"regexp"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/schemas/events"
)

// openError is what an error says of a token that cannot be opened: no byte of it.
var openError = regexp.MustCompile(`^tokens: open the token of tmall/s: [a-zA-Z0-9 ,:.;'()-]*$`)

// Whatever is kept for a token, in the topic or in a folder: what was sealed for the
// shop is opened as it was, for no other shop and in no other bytes, and anything else
// is an error that repeats nothing of it.
func FuzzKept(f *testing.F) {
	ring, err := keyring.Create(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := seal(ring, "tmall", "s", connectors.Token{Access: "a", Expires: time.Unix(1767229260, 0)})
	if err != nil {
		f.Fatal(err)
	}
	for _, key := range []string{"tokens/tmall/s", "token-claims/tmall/s", "tmall/s/orders"} {
		for _, position := range []string{base64.StdEncoding.EncodeToString(sealed), `{"holder":"h"}`, `{"holder":"h","free":true}`, "", "=", `null`} {
			value, err := proto.Marshal(&events.Cursor{Position: position, WrittenMs: 1767229260000})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(key, value, sealed, "a", "r", uint16(3))
		}
	}
	f.Fuzz(func(t *testing.T, key string, value, kept []byte, access, refresh string, place uint16) {
		topic := &Topic{lasts: time.Minute, shops: make(map[string]*shopState)}
		if err := topic.take(kafka.Fetched{Key: []byte(key), Value: value}); err != nil || len(topic.shops) > 1 {
			t.Errorf("%q: %d shops, %v", key, len(topic.shops), err)
		}
		var damaged *DamagedError
		if got, err := open(ring, "tmall", "s", kept); err != nil && (!errors.As(err, &damaged) || got.Access != "" || !openError.MatchString(err.Error())) {
			t.Errorf("%v beside %q", got, err)
		}
		want := connectors.Token{Access: access, Refresh: refresh}
		sealed, err := seal(ring, "tmall", "s", want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := open(ring, "tmall", "s", sealed)
		if err != nil || utf8.ValidString(access) && got.Access != access || utf8.ValidString(refresh) && got.Refresh != refresh {
			t.Errorf("%v, %v", got, err)
		}
		if _, err := open(ring, "tmall", "s2", sealed); !errors.As(err, &damaged) {
			t.Errorf("another shop's token is opened: %v", err)
		}
		sealed[int(place)%len(sealed)] ^= 1
		if _, err := open(ring, "tmall", "s", sealed); !errors.As(err, &damaged) {
			t.Errorf("other bytes are opened: %v", err)
		}
	})
}
