package kafka

import (
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/segmentio/kafka-go/compress"
)

// lz4Blocks is how large the blocks are in which messages are compressed. kafka-go takes
// those of 4 MB, of which it and whoever reads the messages make some for each batch of
// them, however small: a batch of ours is below 1 MB, and LZ4 looks back no further than 64 KB.
const lz4Blocks = lz4.Block256Kb

// lz4Codec is kafka-go's in all but the blocks that it writes.
type lz4Codec struct {
	compress.Codec
	writers *sync.Pool // of *lz4.Writer
}

func (c lz4Codec) NewWriter(to io.Writer) io.WriteCloser {
	w := c.writers.Get().(*lz4.Writer)
	w.Reset(to)
	return &lz4Writer{w, c.writers}
}

// lz4Writer writes one batch.
type lz4Writer struct {
	*lz4.Writer
	pool *sync.Pool
}

// Close ends the batch, and keeps the writer for another. Some call it twice.
func (w *lz4Writer) Close() error {
	if w.Writer == nil {
		return nil
	}
	writer := w.Writer
	w.Writer = nil
	err := writer.Close()
	writer.Reset(nil)
	w.pool.Put(writer)
	return err
}

func newLZ4Codec() lz4Codec {
	c := lz4Codec{&compress.Lz4Codec, new(sync.Pool)}
	c.writers.New = func() any {
		w := lz4.NewWriter(nil)
		if err := w.Apply(lz4.BlockSizeOption(lz4Blocks)); err != nil {
			panic(err) // a size that there is
		}
		return w
	}
	return c
}

// kafka-go has no other place to say it: its table of codecs is what it goes by.
func init() { compress.Codecs[compress.Lz4] = newLZ4Codec() }
