package tables

import (
	"time"

	"oneid/schemas/events"
)

// Reconciled fills the table reconciliation_entities with what a source lists.
type Reconciled struct {
	columns
	run                                              *[]uint64
	side, platform, shop, kind, id, stream, currency *Texts
	version                                          *versions
	modified                                         *[]time.Time
	created, minor                                   *[]int64
	deleted                                          *[]uint8
}

// NewReconciled makes an empty block.
func NewReconciled() *Reconciled {
	r := new(Reconciled)
	c := &r.columns
	r.run, r.side = slice[uint64](c, "run"), texts(c, "side")
	r.platform, r.shop, r.kind, r.id = texts(c, "platform"), texts(c, "shop"), texts(c, "kind"), texts(c, "entity_id")
	r.version, r.stream = newVersions(c, "version"), texts(c, "stream")
	r.modified, r.created = slice[time.Time](c, "modified_at"), slice[int64](c, "created_at")
	r.currency, r.minor, r.deleted = texts(c, "currency"), slice[int64](c, "minor"), slice[uint8](c, "is_deleted")
	return r
}

// Table implements Block.
func (*Reconciled) Table() string { return "reconciliation_entities" }

// Append adds an entity that a stream of the source lists.
func (r *Reconciled) Append(run uint64, stream string, e *events.Event) {
	h := e.GetHeader()
	minor, currency := events.Amount(e)
	r.rows++
	add(r.run, run)
	r.side.add("source")
	r.platform.add(h.GetPlatform())
	r.shop.add(h.GetShop())
	r.kind.add(string(events.KindOf(e)))
	r.id.add(h.GetEntityId())
	r.version.add(h.GetVersion())
	r.stream.add(stream)
	add(r.modified, time.UnixMilli(max(h.GetVersion().GetModifiedMs(), 0)).UTC())
	add(r.created, seconds(events.Born(e)))
	r.currency.add(currency)
	add(r.minor, minor)
	add(r.deleted, flag(h.GetDeleted()))
}

// Count is what a side has of one day: how many, and the sum of their amounts
// in the minor unit.
type Count struct {
	Count uint64 `json:"count"`
	Minor int64  `json:"minor"`
}

// ReconciledDay is what a run found of one stream, kind, day and currency.
type ReconciledDay struct {
	Platform string `json:"platform"`
	Shop     string `json:"shop"`
	Stream   string `json:"stream"`
	Kind     string `json:"kind"`
	// Day is YYYY-MM-DD in the brand's zone; empty for what has no day.
	Day        string `json:"day"`
	Currency   string `json:"currency"`
	Source     Count  `json:"source"`
	Kafka      Count  `json:"kafka"`
	ClickHouse Count  `json:"clickhouse"`
	// Different are the entities that differ, Moving those of which that may
	// be because they were changed just now.
	Different uint64 `json:"different"`
	Moving    uint64 `json:"moving"`
	// The first ids of those that differ: which side lacks them, or that all
	// have them with other amounts.
	MissingSource     []string `json:"missing_source,omitempty"`
	MissingKafka      []string `json:"missing_kafka,omitempty"`
	MissingClickHouse []string `json:"missing_clickhouse,omitempty"`
	OtherAmount       []string `json:"other_amount,omitempty"`
}

// Reconciliation fills the table reconciliation.
type Reconciliation struct {
	columns
	run                                                         *[]time.Time
	platform, shop, stream, kind, currency                      *Texts
	day                                                         *[]time.Time
	unit                                                        *[]uint16
	sourceCount, kafkaCount, clickhouseCount, different, moving *[]uint64
	sourceMinor, kafkaMinor, clickhouseMinor                    *[]int64
	missingSource, missingKafka, missingClickHouse, otherAmount *[][]string
}

// NewReconciliation makes an empty block.
func NewReconciliation() *Reconciliation {
	r := new(Reconciliation)
	c := &r.columns
	r.run = slice[time.Time](c, "run")
	r.platform, r.shop, r.stream, r.kind = texts(c, "platform"), texts(c, "shop"), texts(c, "stream"), texts(c, "kind")
	r.day, r.currency, r.unit = slice[time.Time](c, "day"), texts(c, "currency"), slice[uint16](c, "unit")
	r.sourceCount, r.sourceMinor = slice[uint64](c, "source_count"), slice[int64](c, "source_minor")
	r.kafkaCount, r.kafkaMinor = slice[uint64](c, "kafka_count"), slice[int64](c, "kafka_minor")
	r.clickhouseCount, r.clickhouseMinor = slice[uint64](c, "clickhouse_count"), slice[int64](c, "clickhouse_minor")
	r.different, r.moving = slice[uint64](c, "different"), slice[uint64](c, "moving")
	r.missingSource, r.missingKafka = slice[[]string](c, "missing_source"), slice[[]string](c, "missing_kafka")
	r.missingClickHouse, r.otherAmount = slice[[]string](c, "missing_clickhouse"), slice[[]string](c, "other_amount")
	return r
}

// Table implements Block.
func (*Reconciliation) Table() string { return "reconciliation" }

// Append adds what a run found. A day that is none becomes the zero day.
func (r *Reconciliation) Append(run time.Time, d ReconciledDay) {
	day, err := time.Parse(time.DateOnly, d.Day)
	if err != nil {
		day = time.Unix(0, 0).UTC()
	}
	r.rows++
	add(r.run, run.UTC())
	r.platform.add(d.Platform)
	r.shop.add(d.Shop)
	r.stream.add(d.Stream)
	r.kind.add(d.Kind)
	add(r.day, day)
	r.currency.add(d.Currency)
	add(r.unit, unit(d.Currency))
	add(r.sourceCount, d.Source.Count)
	add(r.sourceMinor, d.Source.Minor)
	add(r.kafkaCount, d.Kafka.Count)
	add(r.kafkaMinor, d.Kafka.Minor)
	add(r.clickhouseCount, d.ClickHouse.Count)
	add(r.clickhouseMinor, d.ClickHouse.Minor)
	add(r.different, d.Different)
	add(r.moving, d.Moving)
	add(r.missingSource, d.MissingSource)
	add(r.missingKafka, d.MissingKafka)
	add(r.missingClickHouse, d.MissingClickHouse)
	add(r.otherAmount, d.OtherAmount)
}
