package compare

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Coordinates reads a place on earth in degrees: latitude and longitude, with a
// comma, a blank, a semicolon or a dash between them. A first number beyond 90
// is a longitude.
func Coordinates(text string) (lat, lon float64, ok bool) {
	text = strings.Trim(strings.TrimSpace(text), "()[]")
	first := decimal(text)
	rest := text[len(first):]
	if cut, dash := strings.CutPrefix(rest, "-"); dash {
		rest = cut
	} else if rest = strings.TrimLeft(rest, " ,;\t"); rest == text[len(first):] {
		return 0, 0, false
	}
	second := decimal(rest)
	if second == "" || rest != second {
		return 0, 0, false
	}
	lat, errLat := strconv.ParseFloat(first, 64)
	lon, errLon := strconv.ParseFloat(second, 64)
	if math.Abs(lat) > 90 {
		lat, lon = lon, lat
	}
	ok = errLat == nil && errLon == nil && math.Abs(lat) <= 90 && math.Abs(lon) <= 180
	return lat, lon, ok
}

// decimal is the number that a text begins with.
func decimal(text string) string {
	n := 0
	for n < len(text) && (text[n] >= '0' && text[n] <= '9' || text[n] == '.' || n == 0 && (text[n] == '-' || text[n] == '+')) {
		n++
	}
	return text[:n]
}

func coordinates(raw string) value {
	lat, lon, ok := Coordinates(raw)
	if !ok {
		return value{}
	}
	// The point of the unit sphere: the distance of two of them along a straight
	// line, which needs no sines, grows with that on the ground.
	phi, lambda := lat*math.Pi/180, lon*math.Pi/180
	return value{
		text:  fmt.Sprintf("%.6f,%.6f", lat+0, lon+0), // about a hand's breadth
		point: [3]float64{math.Cos(phi) * math.Cos(lambda), math.Cos(phi) * math.Sin(lambda), math.Sin(phi)},
	}
}

// nearBy are the squares of straight distances on the unit sphere that are 100
// metres, a kilometre, ten and a hundred on the ground.
var nearBy = func() (list [4]float64) {
	const radius = 6371008.8 // metres, the mean one
	for i := range list {
		chord := 2 * math.Sin(100*math.Pow(10, float64(i))/radius/2)
		list[i] = chord * chord
	}
	return list
}()

// onEarth compares two points of the unit sphere.
func onEarth(x, y *[3]float64) Level {
	square := 0.0
	for i := range x {
		square += (x[i] - y[i]) * (x[i] - y[i])
	}
	for i, limit := range nearBy {
		if square <= limit {
			return Level(2 + i)
		}
	}
	return Level(2 + len(nearBy))
}
