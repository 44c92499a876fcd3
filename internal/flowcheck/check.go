package flowcheck

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"oneid/schemas/events"
)

// Flow is where to look for what came of a load.
type Flow struct {
	// Query asks ClickHouse and gives its answer in TSV; the brand's database
	// is the current one.
	Query func(ctx context.Context, statement string) (string, error)
	// Read reads a topic from its first message to its last.
	Read   func(ctx context.Context, topic string, message func(partition int, offset int64, value []byte) error) error
	Topics events.Topics
	Keys   events.Sealer
}

// factTables are the tables of facts and the columns of their entities.
var factTables = []struct {
	kind      Kind
	table, id string
}{{Order, "orders", "order_id"}, {Refund, "refunds", "refund_id"}, {User, "users", "user_id"}, {Ticket, "tickets", "ticket_id"}}

// rowsOnce are tables and what of a row comes once, while nothing merges.
var rowsOnce = map[string]string{
	"identity_map":             "platform, shop, account, version",
	"identity_map_by_customer": "customer_id, platform, shop, account, version",
	"identity_history":         "platform, shop, account, version",
	"identity_overrides":       "platform, shop, account, version",
	"redirects":                "from_customer_id, version",
	"evidence":                 "platform, shop, account, type, hash, role, source, first_seen, last_seen",
	"evidence_by_identifier":   "hash, type, platform, shop, account, role, source, first_seen, last_seen",
	"identifier_values":        "hash, type, sealed",
	"resemblances":             "platform, shop, account, other_platform, other_shop, other_account, version",
}

// StopMerges keeps ClickHouse from merging parts, from now on and after a
// restart too, so that a row that was inserted twice is seen by count().
func (f Flow) StopMerges(ctx context.Context) error {
	tables := slices.Sorted(maps.Keys(rowsOnce))
	for _, t := range factTables {
		tables = append(tables, t.table)
	}
	for _, table := range append(tables, "raw_events", "decisions", "history_by_account") {
		_, err := f.Query(ctx, "ALTER TABLE "+table+" MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1, parts_to_delay_insert = 1000000, parts_to_throw_insert = 1000000")
		if err != nil {
			return err
		}
	}
	return nil
}

// Newest is the N of the newest fact that can be seen in ClickHouse.
func (f Flow) Newest(ctx context.Context) (int64, error) {
	var each []string
	for _, t := range factTables {
		each = append(each, "SELECT max(bitShiftRight(version, 62)) AS modified FROM "+t.table)
	}
	text, err := f.Query(ctx, "SELECT toInt64(max(modified)) FROM ("+strings.Join(each, " UNION ALL ")+")")
	if err != nil {
		return 0, err
	}
	modified, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return (modified - epochMs) / 2, err
}

// mostDifferences that are told of one kind.
const mostDifferences = 5

// differences are gathered by what was looked at.
type differences struct {
	all  []string
	many map[string]int
}

func (d *differences) say(what, format string, values ...any) {
	if d.many == nil {
		d.many = map[string]int{}
	}
	if d.many[what]++; d.many[what] <= mostDifferences {
		d.all = append(d.all, what+": "+fmt.Sprintf(format, values...))
	}
}

// Differences says what in ClickHouse and the topics is not as it must be;
// nothing if all is. The flow must have caught up, and the views must be
// fresh. Merges must have been stopped before the first insert.
func (f Flow) Differences(ctx context.Context, o *Oracle) ([]string, error) {
	d := new(differences)
	inKafka, places, err := f.readTopics(ctx, o, d)
	if err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return f.checkViews(ctx, o, d) },
		func() error { return f.checkCounts(ctx, inKafka, d) },
		func() error { return f.checkLetters(ctx, places, d) },
		func() error { return f.checkCustomers(ctx, o, d) },
		func() error { return f.checkHistory(ctx, d) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	for what, n := range d.many {
		if n > mostDifferences {
			d.all = append(d.all, fmt.Sprintf("%s: %d more", what, n-mostDifferences))
		}
	}
	return d.all, nil
}

// rows asks for rows of fields.
func (f Flow) rows(ctx context.Context, statement string) ([][]string, error) {
	text, err := f.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("flowcheck: %s: %w", statement, err)
	}
	var out [][]string
	for line := range strings.Lines(text) {
		out = append(out, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return out, nil
}

// inKafka is how often each version lies in the topics: once or more, for a
// write whose acknowledgement was lost is repeated. decisions by their id.
type inKafka struct {
	versions  map[version]int
	decisions map[string]int
}

// readTopics reads what the producer wrote, and where garbage lies.
func (f Flow) readTopics(ctx context.Context, o *Oracle, d *differences) (inKafka, map[string]string, error) {
	found := inKafka{map[version]int{}, map[string]int{}}
	places := map[string]string{} // of garbage: its bytes by its place
	for _, topic := range []string{f.Topics.Orders, f.Topics.Users, f.Topics.Tickets, f.Topics.Decisions} {
		err := f.Read(ctx, topic, func(partition int, offset int64, value []byte) error {
			if o.garbage[string(value)] {
				places[topic+"/"+strconv.Itoa(partition)+"@"+strconv.FormatInt(offset, 10)] = string(value)
				return nil
			}
			if topic == f.Topics.Decisions {
				var said events.Decision
				if err := proto.Unmarshal(value, &said); err != nil {
					return err
				}
				found.decisions[said.GetDecisionId()]++
				return nil
			}
			var e events.Event
			if err := proto.Unmarshal(value, &e); err != nil {
				return err
			}
			h := e.GetHeader()
			of := entity{Kind(events.KindOf(&e)), h.GetPlatform() + "/" + h.GetShop(), h.GetEntityId()}
			found.versions[version{of, h.GetVersion().GetModifiedMs() - epochMs}]++
			return nil
		})
		if err != nil {
			return found, nil, fmt.Errorf("flowcheck: read %s: %w", topic, err)
		}
	}
	// That Kafka holds what it acknowledged is asked too: an embedded broker is killed.
	for v := range o.versions {
		if found.versions[v] == 0 {
			d.say("kafka", "version %d of %s %s/%s was acknowledged and is not there", v.version, v.kind, v.place, v.id)
		}
	}
	for id := range o.decisions {
		if found.decisions[id] == 0 {
			d.say("kafka", "decision %s was acknowledged and is not there", id)
		}
	}
	there := map[string]bool{}
	for _, value := range places {
		there[value] = true
	}
	if len(there) != len(o.garbage) {
		d.say("kafka", "%d of %d pieces of garbage are there", len(there), len(o.garbage))
	}
	return found, places, nil
}

// checkViews wants each entity once, in its newest version, in the views.
func (f Flow) checkViews(ctx context.Context, o *Oracle, d *differences) error {
	got := map[entity]int{}
	for kind, statement := range map[Kind]string{
		Order:  "SELECT concat(platform, '/', shop), order_id, account, toInt64(paid_amount * 100) FROM customer_orders",
		Refund: "SELECT concat(platform, '/', shop), refund_id, account, toInt64(refund_amount * 100) FROM customer_refunds",
		Ticket: "SELECT concat(platform, '/', shop), ticket_id, account, toInt64(amount * 100) FROM customer_tickets",
		User:   "SELECT concat(platform, '/', shop), user_id, concat(platform, '/', shop, '/', account), points FROM users FINAL",
	} {
		rows, err := f.rows(ctx, statement)
		if err != nil {
			return err
		}
		for _, row := range rows {
			e := entity{kind, row[0], row[1]}
			got[e]++
			want, ok := o.newest[e]
			switch {
			case !ok:
				d.say("views", "%s %s/%s was never acknowledged", kind, row[0], row[1])
			case row[2] != want.Account || row[3] != strconv.FormatInt(want.Minor, 10):
				d.say("views", "%s %s/%s has account %s and amount %s, want %s and %d (version %d)", kind, row[0], row[1], row[2], row[3], want.Account, want.Minor, want.Version)
			}
		}
	}
	for _, e := range slices.SortedFunc(maps.Keys(o.newest), compareEntities) {
		if got[e] != 1 {
			d.say("views", "%s %s/%s is there %d times, want once (version %d)", e.kind, e.place, e.id, got[e], o.newest[e].Version)
		}
	}
	return nil
}

// checkCounts wants as many rows, without FINAL, as messages, in the facts
// and in what hangs on them; and no row of any other table twice.
func (f Flow) checkCounts(ctx context.Context, found inKafka, d *differences) error {
	merged, err := f.Query(ctx, "SELECT count() FROM system.parts WHERE database = currentDatabase() AND active AND level > 0 AND table IN ('orders', 'refunds', 'users', 'tickets', 'raw_events', '"+strings.Join(slices.Sorted(maps.Keys(rowsOnce)), "', '")+"')")
	if err != nil {
		return err
	}
	if strings.TrimSpace(merged) != "0" {
		d.say("count", "%s parts were merged: a row that was there twice may not be seen", strings.TrimSpace(merged))
	}
	const number = ", toInt64(bitShiftRight(version, 62)) - " // the time of modification
	epoch := strconv.FormatInt(epochMs, 10)
	total := map[Kind]int{}
	for _, in := range []string{"facts", "raw_events", "history_by_account"} {
		got := map[version]int{}
		for _, t := range factTables {
			statement := "SELECT concat(platform, '/', shop), " + t.id + number + epoch + " AS v, count() FROM " + t.table + " GROUP BY ALL"
			switch {
			case in == "raw_events":
				statement = "SELECT concat(platform, '/', shop), entity_id" + number + epoch + " AS v, count() FROM raw_events WHERE kind = '" + string(t.kind) + "' GROUP BY ALL"
			case in == "history_by_account" && t.kind == User:
				continue // memberships are there, not users
			case in == "history_by_account":
				statement = "SELECT arrayStringConcat(arraySlice(splitByChar('/', account), 1, 2), '/'), id" + number + epoch + " AS v, count() FROM history_by_account WHERE kind = '" + string(t.kind) + "' GROUP BY ALL"
			}
			rows, err := f.rows(ctx, statement)
			if err != nil {
				return err
			}
			for _, row := range rows {
				v, errV := strconv.ParseInt(row[2], 10, 64)
				n, errN := strconv.Atoi(row[3])
				if errV != nil || errN != nil {
					return fmt.Errorf("flowcheck: %s answers %q", statement, row)
				}
				got[version{entity{t.kind, row[0], row[1]}, v}] += n
				total[t.kind] += n
			}
		}
		for v, want := range found.versions {
			if n := got[v]; n != want && (in != "history_by_account" || v.kind != User) {
				d.say("count "+in, "version %d of %s %s/%s has %d rows, want %d as in Kafka", v.version, v.kind, v.place, v.id, n, want)
			}
			delete(got, v)
		}
		for v := range got {
			d.say("count "+in, "version %d of %s %s/%s is not in Kafka", v.version, v.kind, v.place, v.id)
		}
	}
	for table, columns := range rowsOnce {
		rows, err := f.rows(ctx, "SELECT count(), uniqExact("+columns+") FROM "+table)
		if err != nil {
			return err
		}
		if rows[0][0] != rows[0][1] {
			d.say("count "+table, "%s rows, of which %s differ", rows[0][0], rows[0][1])
		}
	}
	rows, err := f.rows(ctx, "SELECT decision_id, count() FROM decisions GROUP BY ALL")
	if err != nil {
		return err
	}
	for _, row := range rows {
		if want := strconv.Itoa(found.decisions[row[0]]); row[1] != want {
			d.say("count decisions", "%s has %s rows, want %s as in Kafka", row[0], row[1], want)
		}
		delete(found.decisions, row[0])
	}
	for id := range found.decisions {
		d.say("count decisions", "%s has no row", id)
	}
	return nil
}

// checkLetters wants one letter, by its id, for each piece of garbage, which
// opens to it, and no other.
func (f Flow) checkLetters(ctx context.Context, places map[string]string, d *differences) error {
	got := map[string]bool{}
	parts := map[string][]*events.DeadLetter{}
	err := f.Read(ctx, f.Topics.DeadLetter, func(_ int, _ int64, value []byte) error {
		var letter events.DeadLetter
		if err := proto.Unmarshal(value, &letter); err != nil {
			return err
		}
		got[letter.GetLetterId()] = true
		// Bytes that are too many for one message come in parts.
		so := append(parts[letter.GetLetterId()], &letter)
		if letter.GetPart() == 0 {
			so = so[len(so)-1:]
		}
		if parts[letter.GetLetterId()] = so; len(so) < int(letter.GetParts()) {
			return nil
		}
		raw, err := events.OpenLetter(so, f.Keys)
		if err != nil {
			return err
		}
		if want, ok := places[letter.GetLetterId()]; !ok {
			d.say("dead letter", "%s (%s) is no garbage: %s", letter.GetLetterId(), letter.GetReason(), letter.GetDetail())
		} else if want != string(raw) {
			d.say("dead letter", "%s opens to other bytes than lie there", letter.GetLetterId())
		}
		return nil
	})
	for place := range places {
		if err == nil && !got[place] {
			d.say("dead letter", "none for the garbage at %s", place)
		}
	}
	return err
}
