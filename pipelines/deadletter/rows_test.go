package deadletter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"oneid/internal/kafka"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// rows are the open letters of rows of who is who.
func (r *rig) rows() []Letter {
	r.t.Helper()
	letters, err := r.desk(nil).List(r.t.Context(), Filter{Stream: events.StreamRows, State: StateOpen}, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	if n, err := r.desk(nil).RefusedRows(r.t.Context()); err != nil || n != uint64(len(letters)) {
		r.t.Errorf("%d rows are said to be refused (%v), and %d are listed", n, err, len(letters))
	}
	return letters
}

func ids(letters []Letter) (all []string) {
	for _, l := range letters {
		all = append(all, l.ID)
	}
	return all
}

// A row of who is who that ClickHouse refuses holds nothing up: the rest is
// loaded, the row lies in the dead letter without its values, also when the
// batch is taken again, and once the table takes it a replay inserts it: then
// ClickHouse says what the state says.
func TestRefusedRowsOfWhoIsWho(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t), t.Context()
	const tables = "identity_map evidence identity_history"
	for table := range strings.FieldsSeq(tables) {
		if err := r.clickhouse.Exec(ctx, "be choosy", "ALTER TABLE "+r.clickhouse.Database()+"."+table+" ADD CONSTRAINT choosy CHECK account NOT IN ('3', '7')"); err != nil {
			t.Fatal(err)
		}
	}
	const n = 40
	var messages []kafka.Message
	for no := range n {
		messages = append(messages, r.encode(user(no+1), r.keys)) // the phone of 0 is nobody's
	}
	r.publish(messages...)
	r.flow()
	r.flow() // from the first batch on, with an empty state, as after a loss of it
	letters := r.rows()
	if len(letters) != 2*3 {
		t.Fatalf("%d letters, want one for each of two accounts in each of three tables: %+v", len(letters), letters)
	}
	for _, l := range letters {
		if l.Reason != events.ReasonStore || !strings.Contains(l.Detail, "error 469") || strings.Contains(l.Detail, "'3'") || !strings.HasPrefix(l.Origin, r.topics.Journal) {
			t.Errorf("the letter is %+v", l)
		}
	}
	if users, known := r.number("SELECT count() FROM DB.users FINAL"), r.number("SELECT count() FROM DB.identity_map FINAL"); users != n || known != n-2 {
		t.Errorf("%d users are loaded and %d accounts are known, want %d and %d", users, known, n, n-2)
	}
	if report, err := r.desk(nil).Replay(ctx, Filter{Stream: events.StreamRows}); err != nil || report.Kept != len(letters) || strings.Contains(fmt.Sprint(report), "choosy") {
		t.Errorf("nothing is mended, and the replay says %+v, %v", report, err)
	}
	for table := range strings.FieldsSeq(tables) {
		if err := r.clickhouse.Exec(ctx, "take all", "ALTER TABLE "+r.clickhouse.Database()+"."+table+" DROP CONSTRAINT choosy"); err != nil {
			t.Fatal(err)
		}
	}
	r.record()
	if report, err := r.desk(nil).Replay(ctx, Filter{Stream: events.StreamRows}); err != nil || report.Replayed != len(letters) {
		t.Errorf("mended, and the replay says %+v, %v", report, err)
	}
	r.record()
	if left := r.rows(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	for _, table := range []string{"identity_map", "identity_history", "evidence", "identity_map_by_customer", "evidence_by_identifier"} {
		if got := r.number("SELECT uniqExact(account) FROM DB." + table); got != n {
			t.Errorf("%s knows %d accounts, want %d; the letters were of %v", table, got, n, ids(letters))
		}
	}
	// The very rows that the flow writes: once more, and nothing is another.
	const sum = "SELECT sum(cityHash64(platform, shop, account, customer_id, version, born)) FROM DB.identity_map FINAL"
	before := r.number(sum)
	r.flow()
	if after := r.number(sum); after != before {
		t.Error("the flow writes other rows than the replay")
	}
}

// An override that was refused and says of a move that is none any more is
// closed, and not inserted; one that still holds is.
func TestOverridesOfYesterday(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t), t.Context()
	r.publish(r.encode(user(1), r.keys), r.encode(user(2), r.keys))
	r.flow()
	for no, holds := range map[int]bool{1: true, 2: false} {
		block := tables.NewOverrides()
		account := tables.Account{Platform: "tmall", Shop: "s", ID: fmt.Sprint(no)}
		var customer [16]byte
		if holds {
			var rows []struct {
				ID [16]byte `ch:"id"`
			}
			if err := r.clickhouse.Select(ctx, "find", &rows, "SELECT reinterpretAsFixedString(customer_id) AS id FROM "+r.clickhouse.Database()+".identity_map FINAL WHERE account = '1'"); err != nil || len(rows) != 1 {
				t.Fatal(rows, err)
			}
			// ClickHouse keeps the two halves of a UUID the other way round.
			for i, b := range rows[0].ID {
				customer[7-i%8+i/8*8] = b
			}
		}
		block.Append(account, customer, 5)
		row, err := tables.EncodeRow(block, 0)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := events.Letters(&events.DeadLetter{
			LetterId: fmt.Sprint("row", no), Stream: events.StreamRows, Reason: events.ReasonStore, Detail: "x", Origin: "b.journal", Attempts: 1, FirstSeenMs: time.Now().UnixMilli(),
		}, row, r.keys)
		if err != nil {
			t.Fatal(err)
		}
		parts[0].Topic, parts[0].Key = r.topics.DeadLetter, []byte("row")
		r.publish(kafka.MessageOf(parts[0]))
	}
	r.record()
	if report, err := r.desk(nil).Replay(ctx, Filter{Stream: events.StreamRows}); err != nil || report.Replayed != 2 {
		t.Errorf("the replay says %+v, %v", report, err)
	}
	if all, first := r.number("SELECT count() FROM DB.identity_overrides"), r.number("SELECT count() FROM DB.identity_overrides WHERE account = '1'"); all != 1 || first != 1 {
		t.Errorf("%d overrides are inserted, %d of them of the account that is where it says; want 1 and 1", all, first)
	}
}
