package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// recode writes Native blocks of revision 0, as the library gives them, as
// blocks of the client's revision: with block info, and from 54454 on a byte a
// column that says that its serialization is the usual one.
func recode(body []byte, revision uint64, to io.Writer) error {
	if revision == 0 {
		_, err := to.Write(body)
		return err
	}
	reader := chproto.NewReader(bytes.NewReader(body))
	for {
		block := proto.NewBlock()
		if err := block.Decode(reader, 0); errors.Is(err, io.EOF) && len(block.Columns) == 0 {
			return nil
		} else if err != nil {
			return fail(50, "UNKNOWN_TYPE", "the result cannot be written for this client (%v): cast the column to another type, or ask without client_protocol_version", err)
		}
		encoded, err := encode(block, revision)
		if err != nil {
			return err
		}
		if _, err := to.Write(encoded); err != nil {
			return err
		}
	}
}

// emptyBlock makes a block of no rows from what DESCRIBE says of the columns,
// an array a line that begins with name and type.
func emptyBlock(described []byte, revision uint64) ([]byte, error) {
	block := proto.NewBlock()
	for lines := json.NewDecoder(bytes.NewReader(described)); lines.More(); {
		var fields []string
		if err := lines.Decode(&fields); err != nil || len(fields) < 2 {
			return nil, fmt.Errorf("read the columns of an empty result: %w", err)
		}
		if err := block.AddColumn(fields[0], column.Type(fields[1])); err != nil {
			return nil, fail(50, "UNKNOWN_TYPE", "the columns cannot be written for this client: %v", err)
		}
	}
	return encode(block, revision)
}

// withSerialization is the first revision in which each column says how it is
// written.
const withSerialization = 54454

// encode writes a block in the form of a revision. In a block of no rows a
// column is its name and type alone: the driver's own Encode would write a
// dictionary's prefix, which its Decode does not expect there.
func encode(block *proto.Block, revision uint64) ([]byte, error) {
	var buffer chproto.Buffer
	if block.Rows() > 0 {
		if err := block.Encode(&buffer, revision); err != nil {
			return nil, fmt.Errorf("write a block for revision %d: %w", revision, err)
		}
		return buffer.Buf, nil
	}
	if err := block.EncodeHeader(&buffer, revision); err != nil {
		return nil, fmt.Errorf("write a block for revision %d: %w", revision, err)
	}
	for i, name := range block.ColumnsNames() {
		buffer.PutString(name)
		buffer.PutString(string(block.Columns[i].Type()))
		if revision >= withSerialization {
			buffer.PutBool(false)
		}
	}
	return buffer.Buf, nil
}
