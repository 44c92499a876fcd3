package chdb_test

import (
	"context"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"oneid/internal/embedded/chdb/chdbtest"
)

// One row by its key through driver, HTTP and a fresh connection of the engine.
func BenchmarkLookup(b *testing.B) {
	conn, ctx := benchTable(b), b.Context()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var n uint64
		for i := uint64(0); pb.Next(); i++ {
			if err := conn.QueryRow(ctx, "SELECT amount FROM facts WHERE id = {id:UInt64} SETTINGS max_threads = 1", clickhouse.Named("id", "77")).Scan(&n); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Batches of 10,000 rows.
func BenchmarkInsert(b *testing.B) {
	conn, ctx := benchTable(b), b.Context()
	for b.Loop() {
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO facts")
		if err != nil {
			b.Fatal(err)
		}
		for i := range uint64(10_000) {
			if err := batch.Append(i, i); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Send(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "rows/s")
}

func benchTable(b *testing.B) clickhouse.Conn {
	b.Helper()
	d := chdbtest.Start(b)
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{d.Address}, MaxOpenConns: 16, MaxIdleConns: 16,
		Auth: clickhouse.Auth{Database: d.Name, Username: d.User, Password: d.Password}, Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, statement := range []string{
		"CREATE TABLE facts (id UInt64, amount UInt64) ENGINE = ReplacingMergeTree ORDER BY id SETTINGS index_granularity = 256",
		"INSERT INTO facts SELECT number, number FROM numbers(1000000)",
	} {
		if err := conn.Exec(ctx, statement); err != nil {
			b.Fatal(err)
		}
	}
	return conn
}
