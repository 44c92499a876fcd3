package connectors

import (
	"strings"
	"testing"
	"time"
)

func TestCellMoney(t *testing.T) {
	t.Parallel()
	const no = -1
	for text, want := range map[string]int64{
		"": 0, "-": 0, "--": 0, "－": 0, "无": 0, "无退款申请": 0, "没有申请退款": 0,
		"110.00": 11000, "0.00元": 0, "￥1,234.50": 123450, "1，234.5": 123450, "１２３．００": 12300, "￥１，２３４": 123400, "118.09999999999999": 11810,
		"########": no, "#VALUE!": no, "NaN": no, "Inf": no, "壹佰元": no, "元": no, "免费": no, "abc": no, "1.2.3": no, "暂无": no,
		"1000000000.00": 1e11, "1000000000.01": no, "-1000000000.01": no, "99999999999999999999": no,
	} {
		var err error
		got := CellsOf(ExportRow{Row: map[string]string{"paid": text}}, &err).Money("paid")
		switch {
		case want == no && (err == nil || !strings.Contains(err.Error(), "the column paid is not an amount") || got != 0):
			t.Errorf("Money(%q) = %d, %v; want a refusal that names the column", text, got, err)
		case want != no && (err != nil || got != want):
			t.Errorf("Money(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestCellCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"": 0, "2": 2, "２": 2, "1,000": 1000, "100000": 1e5, "100001": -1, "-1": -1, "x": -1} {
		var err error
		if got := CellsOf(ExportRow{Row: map[string]string{"n": text}}, &err).Count("n"); want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("Count(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestCellTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("UTC+8", 8*3600)
	for text, want := range map[string]string{
		"": "", "2026-01-02 03:04:05": "2026-01-02 03:04:05", "2026-1-2": "2026-01-02 00:00:00", "2026-01-02": "2026-01-02 00:00:00",
		"2026-1-2 3:04": "2026-01-02 03:04:00", "2026/1/2": "2026-01-02 00:00:00", "2026/1/2 3:04": "2026-01-02 03:04:00",
		"2026年1月2日": "2026-01-02 00:00:00", "2026年01月02日 03:04": "2026-01-02 03:04:00", "2026.1.2 03:04": "2026-01-02 03:04:00",
		"2026.1.2": "2026-01-02 00:00:00", "2026.01.02 03:04:05": "2026-01-02 03:04:05", "2026-01-02T03:04:05": "2026-01-02 03:04:05",
		"46024.5": "2026-01-02 12:00:00", "2026-13-2": "refused", "2026年": "refused", "26.1.2": "refused", "1.2.2026": "refused",
	} {
		var err error
		at := CellsOf(ExportRow{Row: map[string]string{"at": text}}, &err).Time(zone, "at")
		got := ""
		switch {
		case err != nil:
			got = "refused"
		case at != 0:
			got = time.UnixMilli(at).In(zone).Format(time.DateTime)
		}
		if got != want {
			t.Errorf("Time(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}
