package tables

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Who makes an empty block of each table of who is who.
func Who() []Block {
	return []Block{NewIdentifierValues(), NewEvidence(), NewIdentityMap(), NewIdentityHistory(), NewRedirects(), NewOverrides(), NewDecisions(), NewResemblances()}
}

// encodedRow is a row as EncodeRow writes it. A text stands in base64: some hold
// bytes.
type encodedRow struct {
	Table   string                     `json:"table"`
	Columns map[string]json.RawMessage `json:"columns"`
}

// EncodeRow writes a row of a block as JSON, the same at each call.
func EncodeRow(b Block, row int) ([]byte, error) {
	out := encodedRow{b.Table(), make(map[string]json.RawMessage)}
	names, values := b.Columns()
	for i, name := range names {
		value := reflect.ValueOf(Plain(cut(values[i], row, row+1))).Index(0).Interface()
		if text, ok := value.(string); ok {
			value = []byte(text)
		}
		var err error
		if out.Columns[name], err = json.Marshal(value); err != nil {
			return nil, fmt.Errorf("tables: write a row of %s: %w", b.Table(), err)
		}
	}
	return json.Marshal(out)
}

// DecodeRow reads a row of a table of who is who that EncodeRow has written, as
// a block. Columns that the table has got since are zero.
func DecodeRow(data []byte) (Block, error) {
	var in encodedRow
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("tables: read a row: %w", err)
	}
	for _, b := range Who() {
		if b.Table() != in.Table {
			continue
		}
		names, values := b.Columns()
		known := 0
		for i, name := range names {
			text, ok := in.Columns[name]
			if ok {
				known++
			} else {
				text = json.RawMessage("null")
			}
			var err error
			if values[i], err = decodeValue(text, values[i]); err != nil {
				return nil, fmt.Errorf("tables: read the column %s of a row of %s: %w", name, in.Table, err)
			}
		}
		if known < len(in.Columns) {
			return nil, fmt.Errorf("tables: the row of %s has columns that the table has not: a newer OneID wrote it", in.Table)
		}
		return &oneRow{Block: b, names: names, values: values}, nil
	}
	return nil, fmt.Errorf("tables: %q is no table of who is who", in.Table)
}

// decodeValue reads a value as a column of one row, of the kind of another column.
func decodeValue(text json.RawMessage, like any) (any, error) {
	if _, ok := like.(Texts); ok {
		var bytes []byte
		err := json.Unmarshal(text, &bytes)
		var one Texts
		one.addBytes(bytes)
		return one, err
	}
	column := reflect.MakeSlice(reflect.TypeOf(like), 1, 1)
	err := json.Unmarshal(text, column.Index(0).Addr().Interface())
	return column.Interface(), err
}

// oneRow is a block of one row, for reading.
type oneRow struct {
	Block
	names  []string
	values []any
}

// Columns implements Block.
func (r *oneRow) Columns() ([]string, []any) { return r.names, r.values }

// Rows implements Block.
func (*oneRow) Rows() int { return 1 }
