package events

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// A letter is made whatever the words of its error are: long ones in Chinese,
// cut at a character's border, and such as repeat the bytes of a file's name in
// another encoding.
func TestLettersTakeAnyWords(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		detail := strings.Repeat("x", n) + strings.Repeat("列", maxDetail)
		letters, err := Letters(&DeadLetter{LetterId: "1", Detail: detail, Origin: "\xb6\xa9\xb5\xa5.csv line 2", Shop: "s\xff"}, []byte("raw"), newSealer())
		if err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		var got DeadLetter
		if err := proto.Unmarshal(letters[0].Value, &got); err != nil {
			t.Fatal(err)
		}
		kept := len(got.GetDetail())
		if !strings.HasPrefix(detail, got.GetDetail()) || kept > maxDetail || kept < maxDetail-2 || got.GetOrigin() != "\uFFFD.csv line 2" {
			t.Errorf("%d: %d bytes are kept of the detail, and the origin is %q", n, kept, got.GetOrigin())
		}
	}
}
