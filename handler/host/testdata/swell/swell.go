// Package swell is an endpoint whose state and outcomes are as large as its messages say.
package swell

import (
	"context"
	"encoding/binary"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A Message says how large to become.
type Message struct {
	State   int64 // bytes that the state has from now on; 0: as many as before
	Pieces  int64 // bytes of each of its parts; 0: it is one
	Outcome int64 // bytes of the outcome, 8 at least
}

type state struct {
	sum    int64 // of all messages, in their order
	pieces [][]byte
}

// Endpoint is as offloadgen writes one.
func Endpoint(module *offload.Module) *codegen.Endpoint[Message, []byte] {
	return &codegen.Endpoint[Message, []byte]{
		Desc: offload.Desc{Name: "swell", Module: module, Idempotent: true},
		New: func() *codegen.Live[Message, []byte] {
			s := new(state)
			return &codegen.Live[Message, []byte]{Handle: s.handle, AppendState: s.append, ReadState: s.read}
		},
		AppendIn: func(b []byte, m Message) []byte {
			return pack.AppendInt(pack.AppendInt(pack.AppendInt(b, m.State), m.Pieces), m.Outcome)
		},
		ReadIn:    func(r *pack.Reader) Message { return Message{r.Int(), r.Int(), r.Int()} },
		AppendOut: pack.AppendBytes,
		ReadOut:   (*pack.Reader).Bytes,
	}
}

func (s *state) handle(_ context.Context, m Message, emit func([]byte) error) error {
	s.sum = After(s.sum, m)
	if m.State > 0 {
		s.pieces = nil
		size := m.State
		if m.Pieces > 0 {
			size = m.Pieces
		}
		for n := int64(0); n < m.State; n += size {
			s.pieces = append(s.pieces, make([]byte, size))
		}
	}
	return emit(binary.BigEndian.AppendUint64(make([]byte, 0, max(8, m.Outcome)), uint64(s.sum))[:max(8, m.Outcome)])
}

// After is the sum after message m.
func After(sum int64, m Message) int64 { return sum*31 + m.State + m.Outcome }

func (s *state) append(b []byte) []byte {
	b = pack.AppendArray(pack.AppendInt(b, s.sum), len(s.pieces))
	for _, p := range s.pieces {
		b = pack.AppendBytes(b, p)
	}
	return b
}

func (s *state) read(r *pack.Reader) {
	s.sum = r.Int()
	s.pieces = make([][]byte, r.Array())
	for i := range s.pieces {
		s.pieces[i] = r.Bytes()
	}
}
