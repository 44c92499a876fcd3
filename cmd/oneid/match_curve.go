package main

import (
	"fmt"
	"io"
	"strings"
)

// writeCurve draws precision, recall and F1 of the linked pairs over the
// thresholds, with the one that was chosen, as SVG. The strictest threshold is
// on the left; the steps are evenly apart.
func writeCurve(w io.Writer, t *scores, threshold float64) error {
	const width, height, left, top = 560.0, 300.0, 48.0, 24.0
	var b strings.Builder
	x := func(i float64) float64 { return left + i*width/float64(max(1, len(t.Curve)-1)) }
	y := func(share float64) float64 { return top + height*(1-share) }
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="12">`+"\n", left+width+120, top+height+56)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for tenth := 0; tenth <= 10; tenth += 2 {
		share := float64(tenth) / 10
		fmt.Fprintf(&b, `<path d="M%.1f %.1fh%.1f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="end">%.1f</text>`+"\n", left, y(share), width, left-6, y(share)+4, share)
	}
	for i, p := range t.Curve {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%g</text>`+"\n", x(float64(i)), top+height+18, p.Probability)
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">probability from which pairs are linked</text>`+"\n", left+width/2, top+height+40)
	for n, line := range []struct {
		name, colour string
		of           func(quality) float64
	}{
		{"precision", "#1b6ca8", func(q quality) float64 { return q.Precision }},
		{"recall", "#c8553d", func(q quality) float64 { return q.Recall }},
		{"F1", "#2e7d32", func(q quality) float64 { return q.F1 }},
	} {
		var points []string
		for i, p := range t.Curve {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(i)), y(line.of(p.quality))))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n",
			strings.Join(points, " "), line.colour, left+width+12, top+16+18*float64(n), line.colour, line.name)
	}
	// Where the chosen one lies between two steps.
	for i := 1; i < len(t.Curve); i++ {
		if high, low := t.Curve[i-1].Probability, t.Curve[i].Probability; threshold <= high && threshold >= low {
			at := x(float64(i) - (threshold-low)/(high-low))
			fmt.Fprintf(&b, `<path d="M%.1f %.1fv%.1f" stroke="#555" stroke-dasharray="4 3"/><text x="%.1f" y="%.1f" text-anchor="middle">chosen: %.3f</text>`+"\n", at, top, height, at, top-8, threshold)
			break
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
