package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	chproto "github.com/ClickHouse/ch-go/proto"
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
		var buffer chproto.Buffer
		if err := block.Encode(&buffer, revision); err != nil {
			return fmt.Errorf("write a block for revision %d: %w", revision, err)
		}
		if _, err := to.Write(buffer.Buf); err != nil {
			return err
		}
	}
}
