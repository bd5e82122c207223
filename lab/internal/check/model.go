package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"time"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A message is what the checker's channels carry.
type message struct {
	seq   uint64 // the channel's own number
	outs  int
	fails bool
	traps bool // breaks its guest
	body  []byte
}

// An out is what the checker's endpoint emits: which of a message's values it is,
// the state's hash before and after the message, and who made it.
type out struct {
	seq           uint64
	index         int
	before, after uint64
	host          Host
	instance      uint64
}

// state is the far endpoint's. Its hash is over all messages that it handled.
type state struct {
	hash uint64
	last uint64 // message
}

var table = crc64.MakeTable(crc64.ECMA)

// after returns the state after m. It is the sequential reference, too.
func (s state) after(m message) state {
	var head [8 * 3]byte
	binary.BigEndian.PutUint64(head[:], s.hash)
	binary.BigEndian.PutUint64(head[8:], m.seq)
	binary.BigEndian.PutUint64(head[16:], uint64(m.outs))
	return state{crc64.Update(crc64.Checksum(head[:], table), table, m.body), m.seq}
}

// fails returns the error of message seq, if the script wants it to fail. The error shows
// the state, so that one from another state is found.
func fails(seq, hash uint64) error {
	return fmt.Errorf("message %d fails at %016x", seq, hash)
}

// makeMessage makes message seq of a step. In mode Latest each has a result, so
// that what has none can be counted.
func makeMessage(seed, seq uint64, s Step, latest bool) message {
	r := rand.New(rand.NewPCG(seed, seq))
	m := message{seq: seq, outs: 1}
	size := s.Size
	if s.Vary {
		m.outs, size = r.IntN(4), r.IntN(s.Size+1)
	}
	if latest && m.outs == 0 {
		m.outs = 1
	}
	m.fails = s.Fail > 0 && seq%uint64(s.Fail) == 0
	m.traps = s.Trap > 0 && seq%uint64(s.Trap) == 0
	m.body = make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(m.body[i:], r.Uint64())
	}
	return m
}

// A ground is where far endpoints of one channel stand: an edge host or the UE.
type ground struct {
	host    Host
	desc    offload.Desc
	slow    func() time.Duration // each message takes so long
	journal *journal
}

// endpoint is the checker's marked type as generated code would declare it.
func (g *ground) endpoint() *codegen.Endpoint[message, out] {
	return &codegen.Endpoint[message, out]{
		Desc: g.desc, New: g.live,
		AppendIn: appendMessage, ReadIn: readMessage, AppendOut: appendOut, ReadOut: readOut,
	}
}

func (g *ground) live() *codegen.Live[message, out] {
	var s state
	instance := g.journal.instance()
	return &codegen.Live[message, out]{
		Handle: func(ctx context.Context, m message, emit func(out) error) error {
			if d := g.slow(); d > 0 {
				pass(ctx, d)
			}
			if m.traps && g.host == UE {
				return errTrap // native code that breaks would end the application
			}
			g.journal.handled(g, instance, s, m)
			before := s.hash
			s = s.after(m)
			for i := range m.outs {
				if err := emit(out{m.seq, i, before, s.hash, g.host, instance}); err != nil {
					return err
				}
			}
			if m.fails {
				return fails(m.seq, s.hash)
			}
			return nil
		},
		AppendState: func(b []byte) []byte { return pack.AppendUint(pack.AppendUint(b, s.hash), s.last) },
		ReadState:   func(r *pack.Reader) { s = state{r.Uint(), r.Uint()} },
	}
}

// pass lets d pass, or ctx end.
func pass(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func appendMessage(b []byte, m message) []byte {
	b = pack.AppendInt(pack.AppendUint(b, m.seq), int64(m.outs))
	return pack.AppendBytes(pack.AppendBool(pack.AppendBool(b, m.fails), m.traps), m.body)
}

func readMessage(r *pack.Reader) message {
	return message{r.Uint(), int(r.IntN(32)), r.Bool(), r.Bool(), r.BytesRef()}
}

func appendOut(b []byte, o out) []byte {
	b = pack.AppendInt(pack.AppendUint(b, o.seq), int64(o.index))
	b = pack.AppendUint(pack.AppendUint(b, o.before), o.after)
	return pack.AppendUint(pack.AppendString(b, string(o.host)), o.instance)
}

func readOut(r *pack.Reader) out {
	return out{r.Uint(), int(r.IntN(32)), r.Uint(), r.Uint(), Host(r.String()), r.Uint()}
}

// errTrap is what a message that breaks a guest comes to. It leaves the state alone.
var errTrap = errors.New("the message breaks its guest")

// traps says whether the message in request breaks its guest.
func traps(request []byte) bool {
	r := pack.NewReader(request)
	return readMessage(&r).traps
}
