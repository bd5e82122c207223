package bench

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// The far endpoint of the benchmarks touches every byte of a message, as the
// yardsticks do, and keeps a state that tells whether each message came once and
// in its turn.

// A query is a message to it.
type query struct {
	Seq  uint64 // the message's number in its channel
	Want int    // bytes of the answer's body
	Pad  int    // bytes by which the state grows
	Body []byte
}

// An answer is what it emits for each query.
type answer struct {
	Count uint64 // queries that the state has seen
	Chain uint64 // of all of them, in their order
	Body  []byte
}

// step returns the chain after query seq, whose body has checksum sum.
func step(chain, seq uint64, sum uint32) uint64 {
	return bits.RotateLeft64(chain^seq^uint64(sum)<<32, 23)*0x9e3779b97f4a7c15 + 1
}

// A record is the state.
type record struct {
	count, chain uint64
	pad          []byte
}

func (s *record) handle(_ context.Context, q query, emit func(answer) error) error {
	s.count++
	s.chain = step(s.chain, q.Seq, crc32.ChecksumIEEE(q.Body))
	if q.Pad > len(s.pad) {
		s.pad = make([]byte, q.Pad)
	}
	if q.Pad > 0 { // the state is never the same twice
		binary.BigEndian.PutUint64(s.pad[s.count*8%uint64(q.Pad-7):], s.chain)
	}
	return emit(answer{s.count, s.chain, nothing[:min(q.Want, len(nothing))]})
}

// nothing is the body of all answers.
var nothing [1 << 20]byte

// desc describes the endpoint. Its module is none: an edge host of the benchmarks
// runs the native code below, so that transports are compared and not engines.
var desc = offload.Desc{
	Name: "bench", Module: codegen.NewModule([]byte("bench")), Deadline: time.Second, Idempotent: true,
}

var endpoint = codegen.Endpoint[query, answer]{
	Desc: desc,
	New: func() *codegen.Live[query, answer] {
		s := &record{}
		return &codegen.Live[query, answer]{Handle: s.handle, AppendState: s.append, ReadState: s.read}
	},
	AppendIn: appendQuery, ReadIn: readQuery,
	AppendOut: appendAnswer, ReadOut: readAnswer,
}

func (s *record) append(b []byte) []byte {
	b = pack.AppendUint(pack.AppendUint(pack.AppendArray(b, 3), s.count), s.chain)
	return pack.AppendBytes(b, s.pad)
}

func (s *record) read(r *pack.Reader) {
	if r.Tuple(3) {
		s.count, s.chain, s.pad = r.Uint(), r.Uint(), r.Bytes()
	}
}

func appendQuery(b []byte, q query) []byte {
	b = pack.AppendUint(pack.AppendArray(b, 4), q.Seq)
	b = pack.AppendInt(pack.AppendInt(b, int64(q.Want)), int64(q.Pad))
	return pack.AppendBytes(b, q.Body)
}

func readQuery(r *pack.Reader) (q query) {
	if r.Tuple(4) {
		q = query{r.Uint(), int(r.Int()), int(r.Int()), r.Bytes()}
	}
	return q
}

func appendAnswer(b []byte, a answer) []byte {
	b = pack.AppendUint(pack.AppendUint(pack.AppendArray(b, 3), a.Count), a.Chain)
	return pack.AppendBytes(b, a.Body)
}

func readAnswer(r *pack.Reader) (a answer) {
	if r.Tuple(3) {
		a = answer{r.Uint(), r.Uint(), r.Bytes()}
	}
	return a
}
