package normalize

// sign is what a byte of an id tells.
type sign uint8

const (
	strange sign = 1 << iota // may say that something is hidden, or needs to be cleaned
	digit                    // 1 to 9
	letter                   // but x, which hides digits
	x
	single // hides something where it stands twice, or around all
)

var signs = func() (of [256]sign) {
	for c := range of {
		switch {
		case c >= '1' && c <= '9':
			of[c] = digit
		case c == 'x' || c == 'X':
			of[c] = x
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			of[c] = letter
		case c == '.' || c == '#' || c == '?':
			of[c] = single
		case c != '0' && c != '-' && c != '_' && c != '=' && c != '+' && c != '/' && c != ':' && c != '@' && c != '%' && c != '|':
			of[c] = strange
		}
	}
	return of
}()

// usual says at a glance of an id, of nearly all, that it is one as it stands; false says
// nothing.
func usual(s string) bool {
	if len(s) <= len("undefined") || len(s) > maxBytes || signs[s[0]]&single != 0 {
		return false
	}
	var seen sign
	for i := range len(s) {
		of := signs[s[i]]
		if of == single && s[i] == s[i-1] {
			return false
		}
		seen |= of
	}
	return seen&strange == 0 && (seen&letter != 0 || seen&digit != 0 && seen&x == 0)
}
