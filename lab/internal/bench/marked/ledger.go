package marked

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"
)

// A Query is a message to a ledger.
type Query struct {
	Seq  uint64        // the message's number in its channel
	Want int           // bytes of the answer's body
	Pad  int           // bytes that the state has at least from now on
	Work time.Duration // for which the ledger computes
	Body []byte
}

// An Answer is what a ledger emits for each query.
type Answer struct {
	Count uint64 // queries that the state has seen
	Chain uint64 // of all of them, in their order
	Body  []byte
}

// A ledger touches each byte of a message, as the yardsticks do, and keeps a state that
// tells whether each message came once and in its turn.
//
//offload:endpoint deadline=1s idempotent
type ledger struct {
	Count, Chain uint64
	Pad          []byte
}

// Handle enters q.
func (l *ledger) Handle(_ context.Context, q Query, emit func(Answer) error) error {
	spin(q.Work)
	l.Count++
	l.Chain = Step(l.Chain, q.Seq, crc32.ChecksumIEEE(q.Body))
	if q.Pad > len(l.Pad) {
		l.Pad = make([]byte, q.Pad)
	}
	if q.Pad > 0 { // the state is never the same twice
		binary.BigEndian.PutUint64(l.Pad[l.Count*8%uint64(q.Pad-7):], l.Chain)
	}
	return emit(Answer{l.Count, l.Chain, nothing[:min(q.Want, len(nothing))]})
}

// nothing is the body of all answers.
var nothing [1 << 20]byte

// spin computes for d.
func spin(d time.Duration) {
	if d <= 0 {
		return
	}
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

// Step returns the chain after the query seq, whose body has checksum sum.
func Step(chain, seq uint64, sum uint32) uint64 {
	return bits.RotateLeft64(chain^seq^uint64(sum)<<32, 23)*0x9e3779b97f4a7c15 + 1
}
