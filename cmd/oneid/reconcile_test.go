package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"oneid/pipelines/reconcile"
)

// shopOf is the shop whose entity of that id is not in ClickHouse.
func shopOf(report reconcile.Report, id string) string {
	for _, day := range report.Days {
		if slices.Contains(day.MissingClickHouse, id) {
			return day.Platform + "/" + day.Shop
		}
	}
	return ""
}

// After a demo the platforms, Kafka and ClickHouse have the same, at rest and
// beside a running owner; what is taken away is named and mended.
func TestReconcile(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	const from = "2000-01-01" // as far back as the platforms list
	args := []string{"reconcile", "--dir", dir, "--json", "--from", from}
	report := decode[reconcile.Report](t, must(t, args...).stdout)
	if report.Different != 0 || report.From != from || len(report.Days) < 100 {
		t.Errorf("at rest %d entities differ on %d days", report.Different, len(report.Days))
	}
	p, e := up(t, dir)
	order := one(t, dir, "SELECT order_id FROM customer_orders WHERE platform = 'tmall' AND paid_amount > 0 ORDER BY created_at LIMIT 1")
	query(t, e, dir, "ALTER TABLE orders DELETE WHERE order_id = '"+order+"' SETTINGS mutations_sync = 1")
	a := oneid(t, args...)
	wantRefused(t, a, 3, "1 entities differ", "--repair")
	report = decode[reconcile.Report](t, a.stdout)
	if report.Different != 1 || strings.Count(a.stdout, order) != 1 {
		t.Errorf("%d entities differ, and not as %s:\n%s", report.Different, order, a.stdout)
	}
	if people := oneid(t, "reconcile", "--dir", dir, "--from", from, "--shop", shopOf(report, order)); people.code != 3 || !strings.Contains(people.stdout, "not in ClickHouse: "+order) {
		t.Errorf("for people it does not name %s:\n%s", order, people.stdout)
	}
	if got := one(t, dir, "SELECT sum(different) FROM reconciliation_days WHERE state = 'different'"); got != "1" {
		t.Errorf("the view says that %s differ", got)
	}
	if repaired := decode[reconcile.Report](t, must(t, append(args, "--repair")...).stdout); repaired.Different != 0 || repaired.Repaired == 0 {
		t.Errorf("the repair publishes %d events, and %d differ", repaired.Repaired, repaired.Different)
	}
	if got := one(t, dir, "SELECT count() FROM customer_orders WHERE order_id = '"+order+"'"); got != "1" {
		t.Errorf("after the repair the order is there %s times", got)
	}
	wantRefused(t, oneid(t, "reconcile", "--dir", dir, "--shop", "tmall/none"), 1, "no shop tmall/none", "hint: ")
	wantRefused(t, oneid(t, "reconcile", "--dir", dir, "--from", "yesterday"), 1, "YYYY-MM-DD")
	down(t, dir, p)
}

// An `up` reconciles again and again: each time after the first as the first.
func TestUpReconcilesAgain(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	p, _ := up(t, dir, "ONEID_RECONCILE_EVERY=1s")
	checked := make(map[string]bool)
	eventually(t, time.Minute, "it has reconciled three times", func() (bool, string) {
		select {
		case <-p.ended:
			t.Fatalf("up ended:\n%s", p.stderr)
		default:
		}
		checked[one(t, dir, "SELECT max(checked_at) FROM reconciliation_days")] = true
		return len(checked) > 3, fmt.Sprint(checked) // one is of before the first
	})
	down(t, dir, p)
}

// A process that was started anew shows what the last reconciliation found, until it
// compares itself.
func TestUpKnowsWhatDiffered(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	key := strings.TrimSpace(must(t, "apikey", "create", "prometheus", "--dir", dir, "--scope", "metrics:read").stdout)
	p, e := up(t, dir)
	order := one(t, dir, "SELECT order_id FROM customer_orders WHERE platform = 'tmall' AND created_at > now() - INTERVAL 6 DAY ORDER BY created_at LIMIT 1")
	query(t, e, dir, "ALTER TABLE orders DELETE WHERE order_id = '"+order+"' SETTINGS mutations_sync = 1")
	must(t, "run", "reconcile", "--dir", dir)
	down(t, dir, p)
	p, e = up(t, dir)
	eventually(t, time.Minute, "the metric shows the difference", func() (bool, string) {
		said := regexp.MustCompile(`(?m)^oneid_reconcile_difference.*$`).FindAllString(metricsText(t, e.API.URL, key), -1)
		return slices.ContainsFunc(said, func(line string) bool {
			return strings.Contains(line, `platform="tmall"`) && strings.Contains(line, `stream="orders"`) && strings.HasSuffix(line, " 1")
		}), strings.Join(said, "\n")
	})
	down(t, dir, p)
}
