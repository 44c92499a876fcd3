package simulator

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// The frames of Tmall's message service, read and written from its facts: all
// numbers little-endian.

// Kinds of frames, and what one that is sent is about.
const (
	tmcConnect, tmcConnectAck, tmcSend    = 0, 1, 2
	tmcPull, tmcConfirm, tmcData, tmcFail = 1, 2, 3, 20
)

// tmcFrame is a frame as it came.
type tmcFrame struct {
	kind   byte
	token  string
	fields map[string]any // texts, int64 or bytes
}

// tmcField is a custom header, in its order.
type tmcField struct {
	name  string
	value any // text, byte, int64, time.Time or bytes
}

// tmcWriter writes a frame.
type tmcWriter struct{ b []byte }

func newTmcFrame(kind byte) *tmcWriter { return &tmcWriter{[]byte{2, kind}} }

func (w *tmcWriter) text(s string) {
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(s))) //nolint:gosec // the simulator's own texts
	w.b = append(w.b, s...)
}

func (w *tmcWriter) header(kind uint16) *tmcWriter {
	w.b = binary.LittleEndian.AppendUint16(w.b, kind)
	return w
}

func (w *tmcWriter) token(token string) *tmcWriter {
	w.header(5).text(token)
	return w
}

// refusal writes a status and its phrase.
func (w *tmcWriter) refusal(status uint32, phrase string) *tmcWriter {
	w.header(2)
	w.b = binary.LittleEndian.AppendUint32(w.b, status)
	w.header(3).text(phrase)
	return w
}

func (w *tmcWriter) custom(fields ...tmcField) *tmcWriter {
	for _, f := range fields {
		w.header(1).text(f.name)
		switch v := f.value.(type) {
		case string:
			w.b = append(w.b, 1)
			w.text(v)
		case byte:
			w.b = append(w.b, 2, v)
		case int64:
			w.b = binary.LittleEndian.AppendUint64(append(w.b, 5), uint64(v)) //nolint:gosec // its bits
		case time.Time:
			w.b = binary.LittleEndian.AppendUint64(append(w.b, 6), uint64(v.UnixMilli())) //nolint:gosec // its bits
		case []byte:
			w.b = append(w.b, 7)
			w.text(string(v))
		}
	}
	return w
}

// end closes the frame.
func (w *tmcWriter) end() []byte { return w.header(0).b }

// readTmcFrame reads a frame.
func readTmcFrame(b []byte) (f tmcFrame, err error) {
	defer func() {
		if recover() != nil { // a slice beyond its end
			f, err = tmcFrame{}, fmt.Errorf("simulator: a frame is cut off: %w", io.ErrUnexpectedEOF)
		}
	}()
	if b[0] != 2 {
		return f, fmt.Errorf("simulator: a frame of version %d", b[0])
	}
	f.kind, f.fields = b[1], map[string]any{}
	b = b[2:]
	next := func(n uint32) []byte {
		got := b[:n:n]
		b = b[n:]
		return got
	}
	text := func() string { return string(next(binary.LittleEndian.Uint32(next(4)))) }
	for {
		switch kind := binary.LittleEndian.Uint16(next(2)); kind {
		case 0:
			return f, nil
		case 1:
			name := text()
			switch format := next(1)[0]; format {
			case 0:
			case 1:
				f.fields[name] = text()
			case 2:
				f.fields[name] = int64(next(1)[0])
			case 3:
				f.fields[name] = int64(binary.LittleEndian.Uint16(next(2)))
			case 4:
				f.fields[name] = int64(binary.LittleEndian.Uint32(next(4)))
			case 5, 6:
				f.fields[name] = int64(binary.LittleEndian.Uint64(next(8))) //nolint:gosec // its bits
			case 7:
				f.fields[name] = []byte(text())
			default:
				return f, fmt.Errorf("simulator: a value of format %d", format)
			}
		case 2, 4:
			next(4)
		case 3:
			text()
		case 5:
			f.token = text()
		default:
			return f, fmt.Errorf("simulator: a header of kind %d", kind)
		}
	}
}
