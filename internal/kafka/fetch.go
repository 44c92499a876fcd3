package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
)

// maxFetchBytes bounds one answer of the broker, which then holds as many
// messages as are usually asked for at once. What is sent beyond that is
// thrown away and sent again; and one answer is held for each partition, here
// and in an embedded broker. A larger message comes whole nevertheless.
const maxFetchBytes = 2 << 20

const (
	// firstRoom holds most values.
	firstRoom = 64 << 10
	// arenaBytes is how much memory is taken at a time, for many values.
	arenaBytes = 1 << 20
	// quotaWait is how long a fetch waits for its quota without a word.
	quotaWait = time.Minute
)

// Fetched is a message that was read.
type Fetched struct {
	Offset int64
	// Key and Headers are nil unless the fetcher reads keys.
	Key     []byte
	Value   []byte
	Headers []Header
}

// Fetcher reads one partition by offset. It is for one goroutine.
type Fetcher struct {
	client    *Client
	topic     string
	partition int
	keys      bool
	conn      *kafka.Conn
	// Values lie in the arena; a full one is left to them. using are those of the
	// Fetch under way, and loose says that some of its values lie elsewhere.
	arena *arena
	using []part
	loose bool
	pool  *Pool
	kept  Kept
	// large is where the next value is read to, and copied from, since the last
	// one did not fit into an arena; nil otherwise.
	large []byte
	last  int // how many messages the last answer had
}

// Fetcher reads values; with keys, keys and headers too, at a price.
func (c *Client) Fetcher(topic string, partition int, keys bool) *Fetcher {
	return &Fetcher{client: c, topic: topic, partition: partition, keys: keys}
}

// ReadKeys says whether keys and headers are read from now on.
func (f *Fetcher) ReadKeys(read bool) { f.keys = read }

// Reuse takes memory from a pool from now on, into which what Keep says may be
// given back.
func (f *Fetcher) Reuse(p *Pool) { f.pool = p }

// Keep is the memory of what the last Fetch returned. Without a pool, or if nobody
// frees it, it is left to the collector.
func (f *Fetcher) Keep() Kept { return f.kept }

// Fetch returns up to limit messages from offset on, waiting up to most for
// the first, and the offset that the next message of the partition will get.
// No message is not an error. Messages are the caller's to keep, to read: many
// values share one piece of memory. An offset that is no longer there is
// ErrTrimmed. A quota that is used up is waited for; one that stays so for
// more than quotaWait is an error that IsAway.
func (f *Fetcher) Fetch(ctx context.Context, offset int64, limit int, most time.Duration) ([]Fetched, int64, error) {
	for waited := time.Duration(0); ; {
		messages, next, err := f.fetch(ctx, offset, limit, most)
		if err != nil && f.conn != nil {
			// The connection may stand in the middle of an answer.
			_ = f.conn.Close()
			f.conn = nil
		}
		var full quotaError
		switch {
		case errors.As(err, &full):
			waited += time.Duration(full)
			if waited > quotaWait {
				return nil, 0, err
			}
			if !wait(ctx.Done(), time.Duration(full)) {
				return nil, 0, ctx.Err()
			}
		case !errors.Is(err, io.ErrShortBuffer):
			return messages, next, err
		}
	}
}

// ErrTrimmed says that an offset was asked for which Kafka no longer keeps.
var ErrTrimmed = errors.New("the offset is no longer in Kafka")

// quotaError is how long a broker has nothing for this client, whose quota is
// used up. It says so by an answer without any topic, which kafka-go cannot read.
type quotaError time.Duration

func (e quotaError) Error() string {
	return "the quota of this client is used up for " + time.Duration(e).String()
}

func (f *Fetcher) fetch(ctx context.Context, offset int64, limit int, most time.Duration) ([]Fetched, int64, error) {
	fail := func(err error) ([]Fetched, int64, error) {
		if errors.Is(err, kafka.OffsetOutOfRange) {
			err = fmt.Errorf("%w: %w", ErrTrimmed, err)
		}
		return nil, 0, fmt.Errorf("kafka: read %s from offset %d: %w", partitionName(f.topic, f.partition), offset, err)
	}
	if f.conn == nil {
		conn, err := f.client.leader(ctx, f.topic, f.partition)
		if err != nil {
			return nil, 0, err
		}
		f.conn = conn
	}
	conn := f.conn // f.conn may be another, or none, when the context ends late
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := f.conn.SetDeadline(time.Now().Add(most + 20*time.Second)); err != nil {
		return fail(err)
	}
	if _, err := f.conn.Seek(offset, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
		return fail(err)
	}
	batch := f.conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: maxFetchBytes, MaxWait: max(most, time.Millisecond)})
	next := batch.HighWaterMark()
	list := f.pool.list(min(limit, f.last+f.last/4))
	messages := *list
	f.using, f.loose = nil, false
	defer func() {
		*list = messages
		f.last, f.kept = len(messages), Kept{f.pool, f.using, list, f.loose}
	}()
	for len(messages) < limit {
		message, err := f.read(batch, offset)
		if errors.Is(err, io.EOF) || errors.Is(err, kafka.RequestTimedOut) {
			break
		}
		if errors.Is(err, io.ErrShortBuffer) && len(messages) > 0 {
			// The large one comes with the next call, first of its batch.
			_ = batch.Close()
			_ = f.conn.Close()
			f.conn = nil
			return messages, next, nil
		}
		if err != nil {
			_ = batch.Close()
			var code kafka.Error
			switch pause := batch.Throttle(); {
			case ctx.Err() != nil:
				err = ctx.Err()
			case pause > 0 && len(messages) == 0 && !errors.As(err, &code):
				err = quotaError(pause)
			}
			return fail(err)
		}
		if message.Offset >= offset {
			messages = append(messages, message)
		}
	}
	if err := batch.Close(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, kafka.RequestTimedOut) {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fail(err)
	}
	return messages, next, nil
}

// read reads the next message of a batch, of which those from offset on are wanted.
func (f *Fetcher) read(batch *kafka.Batch, offset int64) (Fetched, error) {
	if f.keys {
		f.loose = true
		m, err := batch.ReadMessage()
		return Fetched{Offset: m.Offset, Key: m.Key, Value: m.Value, Headers: m.Headers}, err
	}
	from, room := 0, f.large
	if room == nil {
		from, room = f.room()
	}
	n, err := batch.Read(room)
	if errors.Is(err, io.ErrShortBuffer) {
		f.large = make([]byte, max(4*len(f.large), arenaBytes))
	}
	if err != nil {
		return Fetched{}, err
	}
	if f.large == nil {
		f.arena.bytes = f.arena.bytes[:from+n]
		if len(f.using) == 0 || f.using[len(f.using)-1].arena != f.arena {
			f.arena.holders.Add(1)
			f.using = append(f.using, part{f.arena, f.arena.bytes[from:from]})
		}
		used := &f.using[len(f.using)-1]
		used.bytes = used.bytes[:len(used.bytes)+n]
		return Fetched{Offset: batch.Offset() - 1, Value: f.arena.bytes[from : from+n : from+n]}, nil
	}
	// So are those that follow; but one before offset says nothing of the large one
	// that was the reason.
	if n <= firstRoom && batch.Offset() > offset {
		f.large = nil
	}
	f.loose = true
	return Fetched{Offset: batch.Offset() - 1, Value: bytes.Clone(room[:n])}, nil
}

// room is where the next value may be read to: from there on in the arena.
func (f *Fetcher) room() (from int, room []byte) {
	if f.arena != nil && cap(f.arena.bytes)-len(f.arena.bytes) < firstRoom {
		f.pool.drop(f.arena)
		f.arena = nil
	}
	if f.arena == nil {
		f.arena = f.pool.take()
	}
	from = len(f.arena.bytes)
	return from, f.arena.bytes[from : from+firstRoom] // a larger value takes what else is free
}

// Close ends the connection.
func (f *Fetcher) Close() error {
	if f.conn == nil {
		return nil
	}
	err := f.conn.Close()
	f.conn = nil
	return err
}
