package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"oneid/identity/evaluate"
	"oneid/identity/match"
	"oneid/internal/tablefile"
)

// matchReport is what --json prints.
type matchReport struct {
	Records    int   `json:"records"`
	Candidates int64 `json:"candidates"`
	Links      int   `json:"links"`
	Review     int   `json:"for_review,omitempty"`
	Refused    int   `json:"links_refused"`
	// RefusedBy counts them by their reason.
	RefusedBy map[match.Reason]int `json:"links_refused_by,omitempty"`
	Clusters  int                  `json:"clusters"`
	Largest   int                  `json:"largest_cluster"`
	Threshold float64              `json:"threshold"`
	Seconds   float64              `json:"seconds"`
	PeakMiB   int64                `json:"peak_mib,omitempty"`
	Model     string               `json:"model"`
	Learned   string               `json:"learned"`
	Warnings  []string             `json:"warnings,omitempty"`
	Truth     *scores              `json:"truth,omitempty"`
	// Curve is the file with the picture of the truth's curve.
	Curve string `json:"curve,omitempty"`
}

// scores compare with the truth.
type scores struct {
	Pairwise quality `json:"pairwise"`
	BCubed   quality `json:"b_cubed"`
	// BlockingRecall is the share of the true pairs that were compared, because
	// some blocking rule has them: no other can be found. nil where it is not
	// known which were.
	BlockingRecall *float64 `json:"blocking_recall,omitempty"`
	// Curve over thresholds, of the pairs alone.
	Curve []curvePoint `json:"curve"`
}

type quality struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// curvePoint is the quality of the linked pairs at a threshold.
type curvePoint struct {
	Probability float64 `json:"probability"`
	quality
}

func measured(precision, recall float64) quality {
	q := quality{precision, recall, 0}
	if precision+recall > 0 {
		q.F1 = 2 * precision * recall / (precision + recall)
	}
	return q
}

// writeLearned writes what was learned, with the time.
func writeLearned(path string, l *match.Learned, at time.Time) error {
	l.At = at.UTC().Format(time.RFC3339)
	return writeFile(path, l.Write)
}

// writeFile writes a file as a whole: it has its name when it is complete.
func writeFile(path string, write func(io.Writer) error) (err error) {
	mode := os.FileMode(0o644)
	if at, err := os.Stat(path); err == nil {
		mode = at.Mode().Perm()
	}
	if linked, err := filepath.EvalSymlinks(path); err == nil {
		path = linked
	}
	file, err := newPart(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<16)
	if err := errors.Join(write(buffered), buffered.Flush(), file.Chmod(mode), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// newPart makes the file that becomes another one when it is complete.
func newPart(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
}

func writeClusters(w io.Writer, in *matchInput, result *match.Result) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id", "cluster"}); err != nil {
		return err
	}
	for row, cluster := range result.Cluster {
		if err := out.Write([]string{tablefile.Harmless(in.ids[row]), tablefile.Harmless(in.ids[cluster])}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func writePairs(w io.Writer, in *matchInput, result *match.Result, from float64) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id_l", "id_r", "probability", "weight"}); err != nil {
		return err
	}
	for _, l := range result.Links {
		if l.Probability() < from {
			break
		}
		if err := out.Write(in.pair(l)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// pair is a link as files have it: id_l, id_r, probability, weight.
func (in *matchInput) pair(l match.Link) []string {
	return []string{tablefile.Harmless(in.ids[l.A]), tablefile.Harmless(in.ids[l.B]), strconv.FormatFloat(l.Probability(), 'f', 6, 64), strconv.FormatFloat(float64(l.Weight), 'f', 3, 64)}
}

func writeRefused(w io.Writer, in *matchInput, result *match.Result) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id_l", "id_r", "probability", "weight", "reason"}); err != nil {
		return err
	}
	for _, l := range result.Refused {
		if err := out.Write(append(in.pair(l.Link), string(l.Reason))); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// refusedBecause says in plain words why a link was not followed.
var refusedBecause = map[match.Reason]string{
	match.Bridge:    "next to nothing else speaks for the two clusters being one",
	match.Exclusive: "the two clusters have two values of what the model says an entity has one of",
	match.PerSource: "a source would have more records in one cluster than the model's per_source",
	match.Largest:   "the cluster would have more records than the model's largest",
}

// measure compares the clusters with the truth. Where records of several
// sources are linked, only pairs of two sources count.
func (in *matchInput) measure(result *match.Result) *scores {
	type cell struct {
		entity uint32
		source uint8
	}
	type place struct {
		cluster uint32
		source  uint8
	}
	whole := evaluate.CompareNumbered(in.truth, result.Cluster)
	out := &scores{BCubed: measured(whole.BCubedPrecision, whole.BCubedRecall)}
	found, truth, right := whole.FoundPairs, whole.TruePairs, whole.RightPairs
	if in.table != nil && in.table.Linked() {
		within := evaluate.Compare(func(yield func(int, cell) bool) {
			for row, entity := range in.truth {
				if !yield(row, cell{entity, in.table.Source(row)}) {
					return
				}
			}
		}, func(row int) (place, bool) { return place{result.Cluster[row], in.table.Source(row)}, true })
		found, truth, right = found-within.FoundPairs, truth-within.TruePairs, right-within.RightPairs
	}
	if result.Learned != nil { // otherwise the clusters were read, and nothing is known of the pairs
		recall := ratio(result.TrueCandidates, truth)
		out.BlockingRecall = &recall
	}
	out.Pairwise = measured(ratio(right, found), ratio(right, truth))
	steps := []float64{0.999, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01}
	var linked, good int64
	for _, l := range result.Links {
		for len(steps) > 0 && l.Probability() < steps[0] {
			out.Curve = append(out.Curve, curvePoint{steps[0], measured(ratio(good, linked), ratio(good, truth))})
			steps = steps[1:]
		}
		linked++
		if in.truth[l.A] == in.truth[l.B] {
			good++
		}
	}
	for _, step := range steps {
		out.Curve = append(out.Curve, curvePoint{step, measured(ratio(good, linked), ratio(good, truth))})
	}
	return out
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

func (c matchCmd) print(report matchReport, result *match.Result, why []string) error {
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	for _, line := range why {
		fmt.Println(line)
	}
	for _, rule := range result.Rules {
		fmt.Printf("blocking on %s: %.0f pairs\n", rule.Rule, rule.Predicted)
		if rule.Skipped > 0 {
			fmt.Printf("  %d values that more than %d records share are left to the other rules: %.0f pairs\n", rule.Skipped, rule.Rule.Most, rule.SkippedPairs)
		}
	}
	for _, warning := range report.Warnings {
		fmt.Println("note:", warning)
	}
	fmt.Printf("%d records, %d pairs compared, %d links from probability %.3f (%d of them not followed), %d clusters, the largest of %d, %.1f s, at most %d MiB of memory\n",
		report.Records, report.Candidates, report.Links, report.Threshold, report.Refused, report.Clusters, report.Largest, report.Seconds, report.PeakMiB)
	for _, reason := range match.Reasons() {
		if n := report.RefusedBy[reason]; n > 0 {
			fmt.Printf("not followed, %s: %d, because %s\n", reason, n, refusedBecause[reason])
		}
	}
	if report.Review > 0 {
		fmt.Printf("%d pairs that are not linked are worth a look, from the model's review up\n", report.Review)
	}
	if report.Truth != nil {
		printScores(os.Stdout, report.Truth)
	}
	fmt.Printf("written: %s, the model %s, what was learned %s\n", c.Out, report.Model, report.Learned)
	if report.Curve != "" {
		fmt.Printf("the curve as a picture: %s\n", report.Curve)
	}
	return nil
}

func printScores(w io.Writer, t *scores) {
	fmt.Fprintf(w, "pairwise  precision %.4f, recall %.4f, F1 %.4f\nB-cubed   precision %.4f, recall %.4f, F1 %.4f\n",
		t.Pairwise.Precision, t.Pairwise.Recall, t.Pairwise.F1, t.BCubed.Precision, t.BCubed.Recall, t.BCubed.F1)
	if t.BlockingRecall != nil {
		fmt.Fprintf(w, "blocking  recall %.4f: the share of the true pairs that were compared\n", *t.BlockingRecall)
	}
	if len(t.Curve) == 0 {
		return
	}
	fmt.Fprintln(w, "pairs alone, before they are clustered:\nfrom      precision  recall  F1")
	for _, p := range t.Curve {
		fmt.Fprintf(w, "%-9g %.4f     %.4f  %.4f\n", p.Probability, p.Precision, p.Recall, p.F1)
	}
}
