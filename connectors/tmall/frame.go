package tmall

import (
	"encoding/binary"
	"errors"
)

// A frame is one message of the message service's long connection, as bytes:
// the version of the protocol, the kind of frame, and headers until one of
// kind 0. Numbers are little-endian; a counted text is its length in four bytes
// and UTF-8.
type frame struct {
	kind byte
	// status is 0 for success; phrase says in words what it is.
	status int32
	phrase string
	token  string
	// fields are the custom headers: texts, whole numbers, or bytes.
	fields map[string]any
}

const frameVersion = 2

// Kinds of frames.
const (
	frameConnect    = 0
	frameConnectAck = 1
	frameSend       = 2
	frameSendAck    = 3
)

// Kinds of headers.
const (
	headerEnd    = 0
	headerCustom = 1
	headerStatus = 2
	headerPhrase = 3
	headerFlag   = 4
	headerToken  = 5
)

// Formats of a custom header's value.
const (
	formatVoid = iota
	formatText
	formatByte
	formatInt16
	formatInt32
	formatInt64
	formatDate
	formatBytes
)

// What a frame of kind frameSend is, in its field kindField.
const (
	kindField    = "__kind"
	kindPull     = 1
	kindConfirm  = 2
	kindData     = 3
	maxFrame     = 1 << 20
	maxFields    = 64
	smallestSize = 4 // version, kind, the last header
)

var (
	errFrame   = errors.New("a frame of the message service is cut off or of a form that is not known")
	errVersion = errors.New("the message service speaks another version of its protocol")
)

// field is a name and a value, in the order in which they are written.
type field struct {
	name  string
	value any
}

// encodeFrame writes a frame: texts as texts, bytes as a byte, int64 as such.
func encodeFrame(kind byte, token string, fields ...field) []byte {
	b := []byte{frameVersion, kind}
	counted := func(s string) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s))) // far below 4 GB: the caller's
		b = append(b, s...)
	}
	header := func(kind uint16) { b = binary.LittleEndian.AppendUint16(b, kind) }
	if token != "" {
		header(headerToken)
		counted(token)
	}
	for _, f := range fields {
		header(headerCustom)
		counted(f.name)
		switch v := f.value.(type) {
		case byte:
			b = append(b, formatByte, v)
		case int64:
			b = append(b, formatInt64)
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(b, formatText)
			counted(v)
		default:
			b = append(b, formatVoid)
		}
	}
	header(headerEnd)
	return b
}

// reader reads a frame from its beginning; what is not there is an error once
// and zero from then on.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n uint32) []byte {
	if r.bad || uint64(n) > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number(size uint32) int64 {
	b := r.take(size)
	if b == nil {
		return 0
	}
	switch size {
	case 1:
		return int64(b[0])
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

func (r *reader) counted() []byte {
	n := r.number(4)
	if n < 0 {
		r.bad = true
		return nil
	}
	return r.take(uint32(n))
}

// decodeFrame reads a frame.
func decodeFrame(raw []byte) (frame, error) {
	if len(raw) < smallestSize {
		return frame{}, errFrame
	}
	if raw[0] != frameVersion {
		return frame{}, errVersion
	}
	f := frame{kind: raw[1], fields: make(map[string]any)}
	r := &reader{rest: raw[2:]}
	for !r.bad && len(f.fields) <= maxFields {
		switch r.number(2) {
		case headerEnd:
			if r.bad {
				return frame{}, errFrame
			}
			return f, nil
		case headerStatus:
			f.status = int32(r.number(4))
		case headerPhrase:
			f.phrase = string(r.counted())
		case headerFlag:
			r.number(4)
		case headerToken:
			f.token = string(r.counted())
		case headerCustom:
			name := string(r.counted())
			f.fields[name] = r.value()
		default:
			return frame{}, errFrame
		}
	}
	return frame{}, errFrame
}

func (r *reader) value() any {
	switch r.number(1) {
	case formatVoid:
		return nil
	case formatText:
		return string(r.counted())
	case formatByte:
		return r.number(1)
	case formatInt16:
		return r.number(2)
	case formatInt32:
		return r.number(4)
	case formatInt64, formatDate:
		return r.number(8)
	case formatBytes:
		return r.counted()
	}
	r.bad = true
	return nil
}
