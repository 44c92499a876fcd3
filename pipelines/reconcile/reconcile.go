// Package reconcile proves that nothing is lost: per shop, stream and day of
// the entity's creation, what the platform lists, what the resolver has read
// from Kafka and what the facts hold are the same entities with the same
// amounts.
//
// A run reads each stream again from the first day on, without publishing,
// and puts what is listed beside the other two sides in a table of its own;
// ClickHouse compares, so that memory does not grow with the days. Kafka's
// side is what the resolver wrote of each version as it read it
// (raw_events). All sides count entities by their newest version, so whatever
// came twice, in any order, counts once.
//
// What the platform does not list is left out: entities that only files have
// brought. What has no day of creation in what the platform says (most users)
// is compared as far as the platform lists it as changed in the span: a day
// that a file of members gives to such a user is none by which it is listed. What differs but was changed
// within minutes of the run is moving, and no difference yet.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// Shop is a shop to reconcile.
type Shop struct {
	Platform, Name string
	Connector      connectors.Connector
}

// Reconciler reconciles shops. One run at a time.
type Reconciler struct {
	ClickHouse *clickhouse.Conn
	Publisher  *kafka.Publisher
	Topics     events.Topics
	Keys       events.Sealer
	Log        *slog.Logger
	// Settle returns once all that lies in Kafka is in ClickHouse.
	Settle func(context.Context) error
	// Note, if set, is told how many entities of a stream differ: a metric.
	Note func(platform, shop, stream string, different uint64)
	// Grace is how long before a run a change may be under way still; default
	// DefaultGrace.
	Grace time.Duration
}

// DefaultGrace covers a platform's settle margin, a pull and a batch.
const DefaultGrace = 10 * time.Minute

const (
	// blockRows is how many entities of a source wait for one insert.
	blockRows = 20000
	// MostIDs bounds the ids of each kind of difference that are kept of a day.
	MostIDs = 1000
	// What waits to be published by a repair is bounded by these.
	waitingMessages, waitingBytes = 1000, 4 << 20
)

// Report is what a run found.
type Report struct {
	// From and To are the first and the last day, YYYY-MM-DD in the brand's
	// zone; a shop whose platform lists less begins later.
	From string                 `json:"from"`
	To   string                 `json:"to"`
	Days []tables.ReconciledDay `json:"days"`
	// Different are the entities that differ, Moving those that may be under
	// way.
	Different uint64 `json:"different"`
	Moving    uint64 `json:"moving"`
	// Repaired is how many events a repair has published before.
	Repaired int `json:"repaired"`
}

// Run reconciles the days from and to, both included, of shops. An error of
// one stream does not keep the others from being reconciled.
func (r *Reconciler) Run(ctx context.Context, shops []Shop, from, to time.Time) (Report, error) {
	return r.run(ctx, shops, from, to, false)
}

// Repair reconciles, reads what differs again from its platform, from its
// earliest day on, publishes that alone, and reconciles once more: what it
// returns is how things are afterwards. What the platform does not list cannot
// be repaired. Killed at any point it may be called again: what is published
// twice has the same versions.
func (r *Reconciler) Repair(ctx context.Context, shops []Shop, from, to time.Time) (Report, error) {
	before, err := r.run(ctx, shops, from, to, true)
	if before.Repaired == 0 {
		return before, err
	}
	after, errAfter := r.run(ctx, shops, from, to, false)
	after.Repaired = before.Repaired
	return after, errors.Join(err, errAfter)
}

func (r *Reconciler) run(ctx context.Context, shops []Shop, from, to time.Time, repair bool) (Report, error) {
	zone, err := time.LoadLocation(r.ClickHouse.Timezone())
	if err != nil {
		return Report{}, fmt.Errorf("reconcile: %w", err)
	}
	report := Report{From: from.In(zone).Format(time.DateOnly), To: to.In(zone).Format(time.DateOnly), Days: []tables.ReconciledDay{}}
	var faults []error
	for _, shop := range shops {
		days, repaired, err := r.shop(ctx, shop, midnight(from, zone, 0), midnight(to, zone, 1), zone, repair)
		report.Repaired += repaired
		if err != nil {
			faults = append(faults, fmt.Errorf("reconcile: %s/%s: %w", shop.Platform, shop.Name, err))
		}
		for _, day := range days {
			report.Different += day.Different
			report.Moving += day.Moving
			if day.Source.Count+day.Kafka.Count+day.ClickHouse.Count > 0 {
				report.Days = append(report.Days, day)
			}
		}
	}
	return report, errors.Join(faults...)
}

// midnight is the beginning of a moment's day in a zone, so many days later.
func midnight(t time.Time, zone *time.Location, later int) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d+later, 0, 0, 0, 0, zone)
}

// span is what one shop is reconciled for: [from, to).
type span struct {
	run      uint64
	shop     Shop
	from, to time.Time
	cursor   connectors.Cursor
	streams  []string
	// cutoff: what was changed after it may be under way.
	cutoff time.Time
}

// spanOf is the part of [from, to) that a shop can be reconciled for, without the
// run; ok is false where there is none.
func spanOf(shop Shop, from, to time.Time, zone *time.Location) (s span, ok bool) {
	s = span{shop: shop, from: from, to: to}
	seeker, ok := shop.Connector.(connectors.Seeker)
	if !ok {
		return s, false // a source that cannot be asked again
	}
	var reach time.Time
	if s.cursor, reach = seeker.Since(from); reach.After(from) {
		// The first whole day that the platform still lists.
		s.from = midnight(reach, zone, 1)
		s.cursor, _ = seeker.Since(s.from)
	}
	return s, s.from.Before(to)
}

// days are the first and the last day.
func (s span) days() (first, last string) {
	return s.from.Format(time.DateOnly), s.to.AddDate(0, 0, -1).Format(time.DateOnly)
}

// shop reconciles one shop, keeps what it found and, if it is to repair,
// publishes what differs; it says how many events that were.
func (r *Reconciler) shop(ctx context.Context, shop Shop, from, to time.Time, zone *time.Location, repair bool) (days []tables.ReconciledDay, repaired int, err error) {
	began := time.Now()
	grace := r.Grace
	if grace <= 0 {
		grace = DefaultGrace
	}
	s, ok := spanOf(shop, from, to, zone)
	if !ok {
		return nil, 0, nil
	}
	s.run, s.cutoff = uint64(began.UnixMilli()), began.Add(-grace)
	defer func() { err = errors.Join(err, r.forget(ctx, s)) }()
	var faults []error
	for _, stream := range shop.Connector.Spec().Streams {
		if err := r.source(ctx, s, stream.Name); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", stream.Name, err))
			continue
		}
		s.streams = append(s.streams, stream.Name)
	}
	fail := func(err error) ([]tables.ReconciledDay, int, error) {
		return days, repaired, errors.Join(append(faults, err)...)
	}
	if len(s.streams) == 0 {
		return fail(nil)
	}
	// After the source: what it listed and was published is there now.
	if err := r.Settle(ctx); err != nil {
		return fail(err)
	}
	if err := r.sides(ctx, s); err != nil {
		return fail(err)
	}
	if days, err = r.compare(ctx, s); err != nil {
		return fail(err)
	}
	before, err := r.before(ctx, s)
	if err != nil {
		return fail(err)
	}
	if err := r.keep(ctx, s, began, days, before); err != nil || !repair {
		return fail(err)
	}
	repaired, err = r.repair(ctx, s)
	return fail(err)
}

// source notes what a stream lists.
func (r *Reconciler) source(ctx context.Context, s span, stream string) error {
	block, n := tables.NewReconciled(), 0
	flush := func() error {
		n++
		token := fmt.Sprintf("reconcile/%d/%s/%s/%s/%d", s.run, s.shop.Platform, s.shop.Name, stream, n)
		err := r.ClickHouse.Insert(ctx, block, token)
		block.Reset()
		return err
	}
	err := r.list(ctx, s, s.cursor, stream, func(e *events.Event) error {
		if born := events.Born(e); born != 0 && (born < s.from.UnixMilli() || born >= s.to.UnixMilli()) {
			return nil
		}
		block.Append(s.run, stream, e)
		if block.Rows() < blockRows {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// list calls f with the events of what a stream lists from a cursor on. What
// cannot be mapped is in the dead letter and counts nowhere.
func (r *Reconciler) list(ctx context.Context, s span, from connectors.Cursor, stream string, f func(*events.Event) error) error {
	for page, err := range s.shop.Connector.Read(ctx, stream, from) {
		if err != nil {
			return err
		}
		for _, record := range page.Records {
			mapped, err := s.shop.Connector.Map(record)
			if err != nil {
				continue
			}
			for _, e := range mapped {
				if events.Check(e) != nil || events.Storable(e) != nil {
					continue
				}
				if err := f(e); err != nil {
					return err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// gently keeps what a run asks of ClickHouse from being in anybody's way.
var gently = []clickhouse.Setting{{Name: "max_threads", Value: 1}, {Name: "priority", Value: 10}, {Name: "max_bytes_before_external_group_by", Value: 500_000_000}}

// facts are the tables of ClickHouse's side.
var facts = []struct{ kind, table, id, currency, minor string }{
	{"order", "orders", "order_id", "currency", "paid_minor"},
	{"refund", "refunds", "refund_id", "currency", "refund_minor"},
	{"ticket", "tickets", "ticket_id", "currency", "amount_minor"},
	{"user", "users", "user_id", "''", "toInt64(0)"},
}

// sides puts Kafka's and ClickHouse's sides beside the source's: of all
// entities that any of the three has in the span.
func (r *Reconciler) sides(ctx context.Context, s span) error {
	db := r.ClickHouse.Database() + "."
	shop := "platform = " + clickhouse.Quote(s.shop.Platform) + " AND shop = " + clickhouse.Quote(s.shop.Name)
	inSpan := fmt.Sprintf("created_at >= toDateTime(%d) AND created_at < toDateTime(%d)", s.from.Unix(), s.to.Unix())
	run := strconv.FormatUint(s.run, 10)
	entities := db + "reconciliation_entities"
	of := run + ", "
	known := " IN (SELECT kind, entity_id FROM " + entities + " WHERE run = " + run + ")"
	candidates := []string{"SELECT toString(kind) AS kind, entity_id FROM " + db + "raw_events WHERE " + shop + " AND kind IN ('order', 'refund', 'ticket', 'user') AND " + inSpan}
	var stored []string
	for _, f := range facts {
		kind := clickhouse.Quote(f.kind)
		candidates = append(candidates, "SELECT "+kind+" AS kind, "+f.id+" AS entity_id FROM "+db+f.table+" WHERE "+shop+" AND "+inSpan)
		stored = append(stored, "SELECT "+of+"'clickhouse', toString(platform), toString(shop), "+kind+" AS of_kind, "+f.id+", version, '', fromUnixTimestamp64Milli(toInt64(bitShiftRight(version, 62))), created_at, "+
			"toString("+f.currency+"), "+f.minor+", toUInt8(0) FROM "+db+f.table+" FINAL WHERE "+shop+" AND (of_kind, "+f.id+")"+known)
	}
	const source = "bitAnd(bitShiftRight(version, 60), 3)"
	api := strconv.Itoa(int(events.Source_SOURCE_API))
	for _, selected := range []string{
		"SELECT DISTINCT " + of + "'candidate', " + clickhouse.Quote(s.shop.Platform) + ", " + clickhouse.Quote(s.shop.Name) + ", kind, entity_id, 0, '', toDateTime64(0, 3), toDateTime(0), '', 0, 0 FROM (" + strings.Join(candidates, " UNION ALL ") + ")",
		// An entity of files alone is not the platform's to list.
		"SELECT " + of + "if(max(" + source + ") = " + api + ", 'kafka', 'file'), any(platform), any(shop), kind, entity_id, max(version)," +
			" argMax(stream, version), max(modified_at), argMaxIf(created_at, version, " + source + " = " + api + "), argMax(currency, version), argMax(minor, version), argMax(is_deleted, version)" +
			" FROM " + db + "raw_events FINAL WHERE " + shop + " AND (kind, entity_id)" + known + " GROUP BY kind, entity_id",
		strings.Join(stored, " UNION ALL "),
	} {
		into := "INSERT INTO " + entities + " (run, side, platform, shop, kind, entity_id, version, stream, modified_at, created_at, currency, minor, is_deleted) "
		if err := r.ClickHouse.Exec(ctx, "put the sides side by side", into+selected, gently...); err != nil {
			return err
		}
	}
	return nil
}

// entities is the query for each entity of a run that counts: which sides
// have it, with what amounts, and whether that differs.
func (r *Reconciler) entities(s span) string {
	streamOf := []string{"''"}
	kinds := []string{"''"}
	for _, stream := range s.shop.Connector.Spec().Streams {
		for _, kind := range stream.Kinds {
			kinds = append(kinds, clickhouse.Quote(string(kind)))
			streamOf = append(streamOf, clickhouse.Quote(stream.Name))
		}
	}
	streams := make([]string, len(s.streams))
	for i, stream := range s.streams {
		streams[i] = clickhouse.Quote(stream)
	}
	side := func(name string) string {
		return "countIf(side = '" + name + "') > 0 AS in_" + name + ", maxIf(minor, side = '" + name + "') AS " + name + "_minor, " +
			"anyIf(toString(currency), side = '" + name + "') AS " + name + "_currency, maxIf(created_at, side = '" + name + "') AS " + name + "_born"
	}
	return fmt.Sprintf(`SELECT toString(kind) AS kind, entity_id,
    %s, %s, %s,
    countIf(side = 'file') > 0 AS in_file,
    maxIf(is_deleted, side = 'kafka') AS gone,
    if(source_stream != '', source_stream, if(kafka_stream != '', kafka_stream, transform(kind, [%s], [%s], ''))) AS stream,
    anyIf(toString(e.stream), side = 'source') AS source_stream, anyIf(toString(e.stream), side = 'kafka') AS kafka_stream,
    max(modified_at) AS modified,
    multiIf(in_source, source_born, kafka_born != toDateTime(0) OR in_kafka AND kind = 'user', kafka_born, clickhouse_born) AS born,
    multiIf(in_source, source_currency, in_kafka, kafka_currency, clickhouse_currency) AS currency_shown,
    NOT (in_source AND in_kafka AND in_clickhouse AND (source_minor, source_currency) = (kafka_minor, kafka_currency)
        AND (kafka_minor, kafka_currency) = (clickhouse_minor, clickhouse_currency)) AS differs,
    differs AND modified >= toDateTime64(%d, 3) AS moves
FROM %s.reconciliation_entities AS e FINAL
WHERE run = %d AND platform = %s AND shop = %s
GROUP BY kind, entity_id
HAVING stream IN (%s)
    AND (in_source OR (in_kafka OR in_clickhouse) AND NOT in_file AND NOT gone AND born >= toDateTime(%d) AND born < toDateTime(%d))`,
		side("source"), side("kafka"), side("clickhouse"), strings.Join(kinds, ", "), strings.Join(streamOf, ", "), s.cutoff.Unix(),
		r.ClickHouse.Database(), s.run, clickhouse.Quote(s.shop.Platform), clickhouse.Quote(s.shop.Name), strings.Join(streams, ", "), s.from.Unix(), s.to.Unix())
}

// compare counts what the sides have, day by day.
func (r *Reconciler) compare(ctx context.Context, s span) ([]tables.ReconciledDay, error) {
	var rows []struct {
		Stream            string   `ch:"stream"`
		Kind              string   `ch:"kind"`
		Day               string   `ch:"day"`
		Currency          string   `ch:"currency"`
		SourceCount       uint64   `ch:"source_count"`
		SourceMinor       int64    `ch:"source_sum"`
		KafkaCount        uint64   `ch:"kafka_count"`
		KafkaMinor        int64    `ch:"kafka_sum"`
		ClickHouseCount   uint64   `ch:"clickhouse_count"`
		ClickHouseMinor   int64    `ch:"clickhouse_sum"`
		Different         uint64   `ch:"different"`
		Moving            uint64   `ch:"moving"`
		MissingSource     []string `ch:"missing_source"`
		MissingKafka      []string `ch:"missing_kafka"`
		MissingClickHouse []string `ch:"missing_clickhouse"`
		OtherAmount       []string `ch:"other_amount"`
	}
	ids := func(name, condition string) string {
		return "arraySort(groupArrayIf(" + strconv.Itoa(MostIDs) + ")(entity_id, differs AND NOT moves AND " + condition + ")) AS " + name
	}
	query := "SELECT stream, kind, if(born = toDateTime(0), '', toString(toDate(born, " + clickhouse.Quote(r.ClickHouse.Timezone()) + "))) AS day, currency_shown AS currency, " +
		"countIf(in_source) AS source_count, sumIf(source_minor, in_source) AS source_sum, countIf(in_kafka) AS kafka_count, sumIf(kafka_minor, in_kafka) AS kafka_sum, " +
		"countIf(in_clickhouse) AS clickhouse_count, sumIf(clickhouse_minor, in_clickhouse) AS clickhouse_sum, " +
		"countIf(differs AND NOT moves) AS different, countIf(moves) AS moving, " +
		ids("missing_source", "NOT in_source") + ", " + ids("missing_kafka", "NOT in_kafka") + ", " + ids("missing_clickhouse", "NOT in_clickhouse") + ", " +
		ids("other_amount", "in_source AND in_kafka AND in_clickhouse") +
		" FROM (" + r.entities(s) + ") GROUP BY stream, kind, day, currency ORDER BY stream, kind, day, currency"
	if err := r.ClickHouse.Select(ctx, "compare the sides", &rows, query, gently...); err != nil {
		return nil, err
	}
	days := make([]tables.ReconciledDay, len(rows))
	for i, row := range rows {
		days[i] = tables.ReconciledDay{
			Platform: s.shop.Platform, Shop: s.shop.Name, Stream: row.Stream, Kind: row.Kind, Day: row.Day, Currency: row.Currency,
			Source: tables.Count{Count: row.SourceCount, Minor: row.SourceMinor}, Kafka: tables.Count{Count: row.KafkaCount, Minor: row.KafkaMinor},
			ClickHouse: tables.Count{Count: row.ClickHouseCount, Minor: row.ClickHouseMinor}, Different: row.Different, Moving: row.Moving,
			MissingSource: row.MissingSource, MissingKafka: row.MissingKafka, MissingClickHouse: row.MissingClickHouse, OtherAmount: row.OtherAmount,
		}
	}
	return days, nil
}

// past is what was found of one stream before: how many entities of each day
// differed. What has no day is under "".
type past map[string]uint64

func (p past) different() (sum uint64) {
	for _, n := range p {
		sum += n
	}
	return sum
}

// before is what was found before of each stream, of the days of this run, each day
// when it was compared last: that other days were compared since says nothing of it.
// What has no day is compared as far as it was changed in the days of a run, so of
// that the last run counts that was of as many days, and of hardly others or of as
// old ones: runs at their times may be further apart than the days they look at.
func (r *Reconciler) before(ctx context.Context, s span) (map[string]past, error) {
	var rows []struct {
		Stream    string `ch:"stream"`
		Day       string `ch:"of_day"`
		Different uint64 `ch:"different_then"`
	}
	first, last := s.days()
	zone := clickhouse.Quote(r.ClickHouse.Timezone())
	all := r.ClickHouse.Database() + ".reconciliation"
	of := " WHERE platform = " + clickhouse.Quote(s.shop.Platform) + " AND shop = " + clickhouse.Quote(s.shop.Name)
	days := " AND day BETWEEN " + clickhouse.Quote(first) + " AND " + clickhouse.Quote(last)
	const none = " AND day = toDate(0)"
	length := "toDate(" + clickhouse.Quote(last) + ") - toDate(" + clickhouse.Quote(first) + ")"
	others := all + of + " AND kind = '' AND day != toDate(0) GROUP BY stream, run HAVING max(day) - min(day) != " + length + " OR abs(min(day) - toDate(" + clickhouse.Quote(first) + ")) > 1 + " + length +
		" AND abs(toDate(run, " + zone + ") - max(day) - (toDate(now(), " + zone + ") - toDate(" + clickhouse.Quote(last) + "))) > 1"
	err := r.ClickHouse.Select(ctx, "read what differed before", &rows, "SELECT toString(stream) AS stream, if(day = toDate(0), '', toString(day)) AS of_day, sum(different) AS different_then FROM "+all+" FINAL"+of+
		" AND (day != toDate(0)"+days+" AND (stream, day, run) IN (SELECT stream, day, max(run) FROM "+all+of+days+" GROUP BY stream, day)"+
		" OR day = toDate(0) AND (stream, run) IN (SELECT stream, max(run) FROM "+all+of+none+" AND (stream, run) NOT IN (SELECT stream, run FROM "+others+") GROUP BY stream))"+
		" GROUP BY stream, of_day")
	before := make(map[string]past)
	for _, row := range rows {
		if before[row.Stream] == nil {
			before[row.Stream] = make(past)
		}
		before[row.Stream][row.Day] = row.Different
	}
	return before, err
}

// Standing tells Note what the last runs have found, of the days from and to, both
// included, as far as a run now would compare them: for a process that has compared
// nothing yet, or beside one that has.
func (r *Reconciler) Standing(ctx context.Context, shops []Shop, from, to time.Time) error {
	zone, err := time.LoadLocation(r.ClickHouse.Timezone())
	if err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	for _, shop := range shops {
		s, ok := spanOf(shop, midnight(from, zone, 0), midnight(to, zone, 1), zone)
		if !ok {
			continue
		}
		before, err := r.before(ctx, s)
		if err != nil {
			return fmt.Errorf("reconcile: %s/%s: %w", shop.Platform, shop.Name, err)
		}
		for stream, found := range before {
			r.Note(shop.Platform, shop.Name, stream, found.different())
		}
	}
	return nil
}

// keep writes down what was found, and says what has changed since the run
// before, once. Rows of no kind and of zeros say of each stream which are the first
// and the last day of the run, and on which days nothing is any more that differed.
func (r *Reconciler) keep(ctx context.Context, s span, run time.Time, days []tables.ReconciledDay, before map[string]past) error {
	block := tables.NewReconciliation()
	now := make(map[string]uint64)
	found := make(map[[2]string]bool) // by stream and day
	for _, day := range days {
		block.Append(run, day)
		now[day.Stream] += day.Different
		found[[2]string{day.Stream, day.Day}] = true
	}
	first, last := s.days()
	for _, stream := range s.streams {
		zeros := map[string]bool{first: true, last: true, "": !found[[2]string{stream}]}
		for day, different := range before[stream] {
			zeros[day] = zeros[day] || different > 0 && !found[[2]string{stream, day}]
		}
		for day, needed := range zeros {
			if needed {
				block.Append(run, tables.ReconciledDay{Platform: s.shop.Platform, Shop: s.shop.Name, Stream: stream, Day: day})
			}
		}
	}
	if err := r.ClickHouse.Insert(ctx, block, fmt.Sprintf("reconcile/%d/%s/%s", s.run, s.shop.Platform, s.shop.Name)); err != nil {
		return err
	}
	for _, stream := range s.streams {
		if r.Note != nil {
			r.Note(s.shop.Platform, s.shop.Name, stream, now[stream])
		}
		log := r.Log.With("platform", s.shop.Platform, "shop", s.shop.Name, "stream", stream, "different", now[stream])
		switch {
		case now[stream] > 0 && before[stream].different() == 0:
			log.Warn("what the platform lists and what is stored differ; `oneid reconcile` names it, with --repair it is read again")
		case now[stream] == 0 && before[stream].different() > 0:
			log.Warn("what the platform lists and what is stored are equal again")
		}
	}
	return nil
}

// mostRepaired bounds the entities that one repair of a shop takes in hand;
// the next takes the others.
const mostRepaired = 1_000_000

// repair reads what differs again and publishes it.
func (r *Reconciler) repair(ctx context.Context, s span) (published int, err error) {
	var rows []struct {
		Stream string `ch:"stream"`
		Kind   string `ch:"kind"`
		ID     string `ch:"entity_id"`
		Born   uint32 `ch:"born_at"`
	}
	err = r.ClickHouse.Select(ctx, "read what differs", &rows, "SELECT stream, kind, entity_id, toUnixTimestamp(born) AS born_at FROM ("+r.entities(s)+
		") WHERE differs AND NOT moves AND in_source ORDER BY born_at LIMIT "+strconv.Itoa(mostRepaired), gently...)
	if err != nil {
		return 0, err
	}
	wanted := make(map[string]map[string]bool)
	from := make(map[string]connectors.Cursor)
	for _, row := range rows {
		if wanted[row.Stream] == nil {
			wanted[row.Stream] = make(map[string]bool)
			from[row.Stream] = s.cursor
			if row.Born > 0 {
				// The earliest of the stream: nothing that is wanted was changed before.
				from[row.Stream], _ = s.shop.Connector.(connectors.Seeker).Since(time.Unix(int64(row.Born), 0))
			}
		}
		wanted[row.Stream][row.Kind+"|"+row.ID] = true
	}
	var waiting []kafka.Message
	size := 0
	flush := func() error {
		if len(waiting) == 0 {
			return nil
		}
		if err := r.Publisher.Publish(ctx, waiting); err != nil {
			return err
		}
		published += len(waiting)
		waiting, size = waiting[:0], 0
		return nil
	}
	for stream, ids := range wanted {
		err := r.list(ctx, s, from[stream], stream, func(e *events.Event) error {
			if !ids[string(events.KindOf(e))+"|"+e.GetHeader().GetEntityId()] {
				return nil
			}
			wire, err := r.Topics.Encode(e, r.Keys)
			if err != nil || len(wire.Value) > events.MaxMessage {
				return err // what is too large is in the dead letter
			}
			waiting, size = append(waiting, kafka.MessageOf(wire)), size+len(wire.Value)
			if len(waiting) < waitingMessages && size < waitingBytes {
				return nil
			}
			return flush()
		})
		if err != nil {
			return published, fmt.Errorf("read %s again: %w", stream, err)
		}
	}
	return published, flush()
}

// forget drops what a run has put side by side.
func (r *Reconciler) forget(ctx context.Context, s span) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return r.ClickHouse.Exec(ctx, "drop what was compared", "ALTER TABLE "+r.ClickHouse.Database()+".reconciliation_entities "+r.ClickHouse.OnCluster()+" DROP PARTITION "+strconv.FormatUint(s.run, 10))
}
